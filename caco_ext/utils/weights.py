"""Refuse unusable weights, and compare weights with a model's."""
from typing import Any, Mapping

import torch
from torch import Tensor

from .checkpoints import CheckpointError
from .text import first_of

# Names of weights in layers of every kind.
_NUMBERS = ('weight', 'bias', 'running_mean', 'running_var')
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_weights(weights: Mapping[str, Any], path: str) -> None:
    """Refuse weights that cannot be used for computation.

    Args:
        weights (Mapping[str, Any]): Weights by name. Values other than
            tensors are ignored.
        path (str): The file, for the error.

    Raises:
        CheckpointError: The name of a weight is no text, or a weight is not
            finite, or is empty, complex, sparse or quantized. Or it has
            integers where a layer needs floats, or less storage than its
            shape says.
    """
    for name, value in weights.items():
        if not isinstance(name, str):
            raise CheckpointError(f'{path!r} has a weight named {name!r}, '
                                  f'a {type(name).__name__} and no text')
        if isinstance(value, Tensor):
            layer = name.rsplit('.', 1)[-1] in _NUMBERS
            problem = _problem(value, layer)
            if problem:
                raise CheckpointError(f'{name!r} {problem}, in {path!r}')


def _problem(value: Tensor, layer: bool) -> str:
    """Describe what is wrong with a tensor; empty if nothing is.

    The rules are strict for weights of a layer. Other tensors may be masks
    with minus infinity, or integer counters.
    """
    kind = str(value.dtype).split('.')[-1]
    if value.layout is not torch.strided:
        return f'is a sparse tensor ({value.layout})'
    if value.is_quantized:
        return f'is quantized ({kind})'
    if value.is_complex():
        return f'is complex ({kind})'
    if value.device.type == 'meta':
        return 'has a shape alone and no values'
    if value.numel() == 0:
        return f'is of size zero, {list(value.shape)}'
    held = value.untyped_storage().nbytes()
    if value.numel() * value.element_size() > held:
        return (f'is {list(value.shape)}, more than the {held} bytes stored '
                'for it')
    if not value.is_floating_point():
        return f'is of integers ({kind})' if layer else ''
    if value.dtype not in _FLOATS:
        return f'is of an unusual type ({kind})'
    if _finite(value):
        return ''
    if torch.isnan(value).any():
        return 'holds NaN'
    masked = not layer and _finite(value[value != -torch.inf])
    return '' if masked else 'holds infinite values'


def _finite(value: Tensor) -> bool:
    return bool(torch.isfinite(value).all())


def describe_differences(own: Mapping[str, Tensor],
                         theirs: Mapping[str, Tensor],
                         part: bool = False) -> str:
    """Compare names, shapes and kinds of numbers.

    Args:
        own (Mapping[str, Tensor]): The model's weights.
        theirs (Mapping[str, Tensor]): The file's weights.
        part (bool): Whether the model may use only a part of the file.
            Defaults to False.

    Returns:
        str: Counts and the first names; empty if they fit.
    """
    kinds = {
        'missing': [n for n in own if n not in theirs],
        'too many': [n for n in theirs if n not in own and not part],
        'of another shape': [
            n for n in own if n in theirs
            and getattr(theirs[n], 'shape', None) != own[n].shape
        ],
        'not finite, or no floats where the model has them':
        [n for n in own if n in theirs and _spoils(own[n], theirs[n])]
    }
    texts = [
        f'{len(names)} {kind} ({first_of(sorted(names))})'
        for kind, names in kinds.items() if names
    ]
    if not texts:
        return ''
    return f'of {len(own)} keys ' + '; '.join(texts)


def _spoils(own: Any, theirs: Any) -> bool:
    """Whether the kind of a value does not suit the model."""
    if not isinstance(own, Tensor) or not isinstance(theirs, Tensor):
        return False
    if own.shape != theirs.shape or not own.is_floating_point():
        return False
    return bool(_problem(theirs, layer=True)) and not _problem(own, layer=True)
