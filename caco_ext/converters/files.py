# Copyright (c) caco_ext authors. All rights reserved.
"""Read checkpoints without running what is in them."""
import hashlib
import json
import os.path as osp
import pickle
import re
import zipfile
from typing import Any, Dict, Mapping, Optional, Tuple

import torch
from torch import Tensor

from caco_ext.utils.extras import MissingExtraError, import_extra


class CheckpointError(ValueError):
    """A file cannot be read or is not what it should be; says what it is."""


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


def read_checkpoint(path: str, trust: bool = False) -> Any:
    """Read a checkpoint; nothing in it is executed.

    Args:
        path (str): ``.safetensors``, or a file of ``torch.save``.
        trust (bool): Unpickle anything, which may run any code that the
            file's author put there. Defaults to False.

    Returns:
        Any: The content, on the CPU. Of safetensors ``dict(state_dict=...,
        meta=...)``.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It is empty, damaged, or holds more than tensors and
            plain data.
    """
    if not osp.isfile(path):
        kind = 'is a folder' if osp.isdir(path) else 'does not exist'
        raise FileNotFoundError(f'no checkpoint {path!r}: it {kind}')
    if osp.getsize(path) == 0:
        raise CheckpointError(f'{path!r} is empty (0 bytes)')
    if path.endswith('.safetensors'):
        return _read_safetensors(path)
    try:
        return torch.load(path, map_location='cpu', weights_only=not trust)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(path, str(error))) from error
    except Exception as error:
        # Damaged files end in errors of many types; a KeyError of an unknown
        # instruction says nothing but its number.
        reason = ': '.join(
            [type(error).__name__, *str(error).splitlines()[:1]])
        raise CheckpointError(
            f'{path!r} is not a readable checkpoint, but '
            f'{_first_bytes(path)}; it may be truncated: {reason}') from error


def _refusal(path: str, message: str) -> str:
    """Say why the safe unpickler refused a file.

    Args:
        path (str): The file.
        message (str): torch's own.

    Returns:
        str: For the user.
    """
    named = re.search(r'GLOBAL (\S+)', message)
    reason = f'it names {named[1]}' if named else message.splitlines()[0][:160]
    if zipfile.is_zipfile(path):
        return (f'{path!r} is not a readable checkpoint: it holds more than '
                f'tensors and plain data ({reason}). To read it, code that '
                'the file names would have to run; --trust does that, for a '
                'file whose author you know')
    return (f'{path!r} is not a readable checkpoint, but '
            f'{_first_bytes(path)} ({reason}). When it is an old pickle of an '
            'author you know, --trust reads it and runs what it names')


def _first_bytes(path: str) -> str:
    """Say what a file seems to be."""
    with open(path, 'rb') as file:
        start = file.read(8)
    kinds = ((b'PK', 'the beginning of a zip file'), (b'\x80', 'a pickle'),
             (b'<', 'a page of the web or XML'), (b'{', 'JSON'),
             (b'\x1f\x8b', 'a gzip file'), (b'version ', 'a Git LFS pointer'))
    kind = next((kind for magic, kind in kinds if start.startswith(magic)),
                f'a file that begins with {start!r}')
    return f'{kind} of {osp.getsize(path)} bytes'


def import_safetensors():
    """Import safetensors, or say how to get it.

    Returns:
        module: safetensors, with its part for torch.

    Raises:
        CheckpointError: It is not installed.
    """
    what = 'A file that ends in .safetensors'
    try:
        import_extra('safetensors.torch', 'export', what)
        return import_extra('safetensors', 'export', what)
    except MissingExtraError as error:
        raise CheckpointError(str(error)) from error


def _read_safetensors(path: str) -> Dict[str, Any]:
    safetensors = import_safetensors()
    try:
        with safetensors.safe_open(path, framework='pt') as file:
            meta = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}
    except (safetensors.SafetensorError, ValueError) as error:
        raise CheckpointError(
            f'{path!r} is not a readable safetensors file: {error}') from error
    try:
        meta = json.loads(meta.get('meta', '{}'))
    except json.JSONDecodeError as error:
        raise CheckpointError(
            f'{path!r}: its metadata are not JSON: {error}') from error
    return dict(state_dict=state, meta=meta)


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
    state: Optional[Mapping] = content.get('state_dict', content)
    if not isinstance(state, Mapping) or not state:
        raise CheckpointError(f'{path!r}: its state_dict holds no weights')
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(f'{name!r} is a {type(value).__name__}, '
                                  f'not a tensor, in {path!r}')
    meta = content.get('meta') if 'state_dict' in content else None
    return dict(state), dict(meta or {})
