# Copyright (c) caco_ext authors. All rights reserved.
"""Read checkpoints without running what is in them, write them whole."""
import hashlib
import json
import os
import os.path as osp
import pickle
import platform
import re
import tempfile
import zipfile
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

import torch
from torch import Tensor

from caco_ext.version import __version__

PLAIN = (str, int, float, bool, type(None))


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
        # Damaged files end in errors of many types.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
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


def _safetensors():
    """Import safetensors, or say how to get it."""
    try:
        import safetensors
        import safetensors.torch
    except ImportError as error:
        raise CheckpointError(
            'reading and writing .safetensors needs a package: pip install '
            'safetensors') from error
    return safetensors


def _read_safetensors(path: str) -> Dict[str, Any]:
    safetensors = _safetensors()
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


def plain(value: Any, where: str = 'meta') -> Any:
    """Check that something is made of tensors and plain data, and copy it.

    Tensors become contiguous and get storage of their own, so that a view
    does not take along what it is a view of.

    Args:
        value (Any): Dicts, lists, tuples, tensors, strings, numbers, None.
        where (str): Its name, for the error. Defaults to 'meta'.

    Returns:
        Any: The copy.

    Raises:
        CheckpointError: Something else is in it.
    """
    if isinstance(value, Tensor):
        value = value.detach()
        whole = value.untyped_storage().nbytes() == (
            value.numel() * value.element_size())
        return value if whole and value.is_contiguous() else value.clone(
            memory_format=torch.contiguous_format)
    if type(value) in PLAIN:
        return value
    if isinstance(value, Mapping):
        return {
            plain(key, where): plain(item, f'{where}.{key}')
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item, f'{where}[{i}]')
                           for i, item in enumerate(value))
    raise CheckpointError(f'{where} is a {type(value).__name__}; a checkpoint '
                          'written here holds tensors and plain data only')


def check_destination(path: str) -> None:
    """Refuse what cannot be written to, before hours of work.

    Args:
        path (str): The file to write.

    Raises:
        CheckpointError: It is a folder, or its folder takes no files.
    """
    if osp.isdir(path):
        raise CheckpointError(f'{path!r} is a folder; name a file')
    folder = osp.dirname(osp.abspath(path))
    if osp.isdir(folder) and not os.access(folder, os.W_OK):
        raise CheckpointError(f'{folder!r} cannot be written to')


def write_atomically(path: str, write: Callable[[str], None]) -> None:
    """Write under a temporary name and rename, so that no half file stays.

    Args:
        path (str): Where; its folder is made when missing.
        write (Callable[[str], None]): Writes to the path it is given.

    Raises:
        CheckpointError: See :func:`check_destination`.
    """
    check_destination(path)
    folder = osp.dirname(osp.abspath(path))
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(
        dir=folder, prefix=f'.{osp.basename(path)}.')
    os.close(handle)
    try:
        write(temporary)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # mkstemp makes it private
        os.replace(temporary, path)
    except BaseException:
        if osp.exists(temporary):
            os.unlink(temporary)
        raise


def write_checkpoint(content: Mapping[str, Any], path: str) -> None:
    """Write a checkpoint in the format that the ending asks for.

    Args:
        content (Mapping[str, Any]): With 'state_dict' and 'meta'. In
            ``.safetensors`` nothing else is stored.
        path (str): ``*.safetensors``, or anything for ``torch.save``.

    Raises:
        CheckpointError: Something other than tensors and plain data is in
            it, or safetensors is not installed.
    """
    content = plain(content, 'checkpoint')
    if not path.endswith('.safetensors'):
        # the zip format, which torch >= 1.6 reads
        write_atomically(path, lambda to: torch.save(content, to))
        return
    safetensors = _safetensors()
    meta = dict(format='pt', meta=json.dumps(content.get('meta', {})))
    write_atomically(
        path, lambda to: safetensors.torch.save_file(
            content['state_dict'], to, metadata=meta))


def beside(path: str) -> str:
    """Name of the safetensors file beside a checkpoint."""
    return f'{osp.splitext(path)[0]}.safetensors'


def provenance(path: str, **entries) -> Dict[str, Any]:
    """What every file written here tells about where it is from.

    Args:
        path (str): The source file.
        **entries: More; those that are None are left out.

    Returns:
        dict[str, Any]: 'source', 'source_sha256', versions and the entries.
    """
    known = {key: value for key, value in entries.items() if value is not None}
    return dict(
        source=osp.basename(path),
        source_sha256=sha256(path),
        caco_ext_version=__version__,
        torch_version=str(torch.__version__),
        python_version=platform.python_version(),
        **known)


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
