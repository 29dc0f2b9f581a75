"""Say how the weights of a file differ from those of a model."""
from typing import Iterable, Mapping

from torch import Tensor


def describe_differences(own: Mapping[str, Tensor],
                         theirs: Mapping[str, Tensor],
                         part: bool = False) -> str:
    """Compare names and shapes.

    Args:
        own (Mapping[str, Tensor]): What the model needs.
        theirs (Mapping[str, Tensor]): What the file has.
        part (bool): Whether the model may take a part of the file.
            Defaults to False.

    Returns:
        str: Counts and the first names; empty where they fit.
    """
    kinds = {
        'missing': [n for n in own if n not in theirs],
        'too many': [n for n in theirs if n not in own and not part],
        'of another shape':
        [n for n in own if n in theirs and own[n].shape != theirs[n].shape]
    }
    texts = [
        f'{len(names)} {kind} ({_first(names)})'
        for kind, names in kinds.items() if names
    ]
    if not texts:
        return ''
    return f'of {len(own)} keys ' + '; '.join(texts)


def _first(names: Iterable[str], count: int = 3) -> str:
    names = sorted(names)
    more = f' and {len(names) - count} more' if len(names) > count else ''
    return ', '.join(names[:count]) + more
