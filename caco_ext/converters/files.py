# Copyright (c) caco_ext authors. All rights reserved.
"""What every checkpoint has: a hash, weights, meta data."""
import hashlib
from typing import Any, Dict, Mapping, Tuple

from torch import Tensor

from caco_ext.utils.checkpoints import CheckpointError, read_checkpoint
from caco_ext.utils.weights import check_weights

__all__ = [
    'CheckpointError', 'meta_of', 'read_checkpoint', 'sha256', 'weights_of'
]


def sha256(path: str) -> str:
    """Hash of a file.

    Args:
        path (str): The file.

    Returns:
        str: 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for part in iter(lambda: file.read(1 << 20), b''):
            digest.update(part)
    return digest.hexdigest()


def weights_of(content: Any, path: str) -> Tuple[Dict[str, Tensor], dict]:
    """State dict and meta data of a checkpoint of this package or a host.

    Args:
        content (Any): Of :func:`read_checkpoint`.
        path (str): The file, for errors.

    Returns:
        tuple[dict[str, Tensor], dict]: Weights by name, meta data.

    Raises:
        CheckpointError: It holds none.
    """
    if not isinstance(content, Mapping):
        raise CheckpointError(f'{path!r} holds a {type(content).__name__}, '
                              'not a checkpoint')
    state = content.get('state_dict', content)
    if not isinstance(state, Mapping) or not state:
        raise CheckpointError(f'{path!r}: its state_dict holds no weights')
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(f'{name!r} is a {type(value).__name__}, '
                                  f'not a tensor, in {path!r}')
    check_weights(state, path)
    return dict(state), meta_of(content, path)


def meta_of(content: Any, path: str) -> Dict[str, Any]:
    """Meta data beside weights.

    Args:
        content (Any): What the file holds.
        path (str): The file, for errors.

    Returns:
        dict[str, Any]: Empty where there are none.

    Raises:
        CheckpointError: They are no dict.
    """
    if not isinstance(content, Mapping) or not {'state_dict', 'model'
                                                }.intersection(content):
        return {}
    meta = content.get('meta')
    if meta is not None and not isinstance(meta, Mapping):
        raise CheckpointError(f'{path!r}: its meta is a '
                              f'{type(meta).__name__}, not a dict')
    return dict(meta or {})
