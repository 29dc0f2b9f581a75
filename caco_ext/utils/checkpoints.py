# Copyright (c) caco_ext authors. All rights reserved.
"""Read checkpoints without executing code in them, and detect damage."""
import json
import os.path as osp
import pickle
import re
import zipfile
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Callable, Dict, Iterator, Mapping

import torch

from .errors import UsageError
from .extras import MissingExtraError, import_extra
from .files import damage_of


class CheckpointError(UsageError):
    """A file cannot be read or is not the expected one; says what it is."""


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Inside, errors caused by a file's content become a CheckpointError.

    Args:
        path (str): The file.

    Raises:
        CheckpointError: In place of a KeyError, TypeError and the like.
    """
    try:
        yield
    except (UsageError, OSError):
        raise
    except Exception as error:
        raise CheckpointError(f'{path!r} is not what a checkpoint should be: '
                              f'{_first_line(error)}') from error


def read_checkpoint(path: str,
                    trust: bool = False,
                    map_location: Any = 'cpu',
                    mmap: bool = False) -> Any:
    """Read a checkpoint; nothing in it is executed.

    The checksums in a file of ``torch.save`` are verified first. Safetensors,
    numpy pickles and torch's format before 1.6 have none, so only their
    structure is checked.

    Args:
        path (str): ``.safetensors``; ``.pkl``, a pickle of numpy arrays like
            detectron2's; or a file of ``torch.save``.
        trust (bool): Unpickle anything. This may run any code that the file's
            author put there. Defaults to False.
        map_location (Any): See ``torch.load``. Defaults to 'cpu'.
        mmap (bool): Leave the tensors of ``torch.save`` on the disk until
            they are used. Defaults to False.

    Returns:
        Any: The content. For safetensors ``dict(state_dict=..., meta=...)``.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It is empty, damaged, or holds more than tensors and
            plain data.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'no checkpoint {path!r}: it {_absence(path)}')
    if osp.getsize(path) == 0:
        raise CheckpointError(f'{path!r} is empty (0 bytes)')
    if path.endswith('.safetensors'):
        return _read_safetensors(path)
    if path.endswith('.pkl') and not _of_torch(path):
        return _read_arrays(path, trust)
    is_zip = _is_zip(path)
    damage = damage_of(path) if is_zip else ''
    if damage:
        raise CheckpointError(f'{path!r} is not a readable checkpoint: it is '
                              f'damaged, {damage}')
    try:
        return torch.load(
            path,
            map_location=map_location,
            weights_only=not trust,
            mmap=mmap and is_zip)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(path, str(error))) from error
    except OSError:
        raise
    except Exception as error:
        # Damaged files raise errors of many types.
        raise _unreadable(path, error) from error


def import_safetensors() -> ModuleType:
    """Import safetensors, or say how to get it.

    Returns:
        module: safetensors, with its submodule for torch.

    Raises:
        CheckpointError: It is not installed.
    """
    what = 'A file that ends in .safetensors'
    try:
        import_extra('safetensors.torch', 'export', what)
        return import_extra('safetensors', 'export', what)
    except MissingExtraError as error:
        raise CheckpointError(str(error)) from error


def _absence(path: str) -> str:
    if osp.isdir(path):
        return 'is a folder'
    if '://' in path:
        return 'is an address, and files alone are read; download it first'
    return 'is no regular file' if osp.exists(path) else 'does not exist'


def _is_zip(path: str) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:
        return True  # a zip file with a damaged directory


def _first_line(error: Exception) -> str:
    # The KeyError of an unknown opcode holds only its number.
    return ': '.join([type(error).__name__, *str(error).splitlines()[:1]])


def _unreadable(path: str, error: Exception) -> CheckpointError:
    return CheckpointError(
        f'{path!r} is not a readable checkpoint, but {_first_bytes(path)}; '
        f'it may be truncated: {_first_line(error)}')


def _refusal(path: str, message: str) -> str:
    """Say why the safe unpickler refused a file, from torch's own message."""
    named = re.search(r'GLOBAL (\S+)', message)
    reason = f'it names {named[1]}' if named else message.splitlines()[0][:160]
    if _is_zip(path):
        return (f'{path!r} is not a readable checkpoint: it holds more than '
                f'tensors and plain data ({reason}). To read it, code that '
                'the file names would have to run; --trust does that, for a '
                'file whose author you know')
    return (f'{path!r} is not a readable checkpoint, but '
            f'{_first_bytes(path)} ({reason}). When it is an old pickle of an '
            'author you know, --trust reads it and runs what it names')


def _first_bytes(path: str) -> str:
    """Describe what a file seems to be by its first bytes."""
    with open(path, 'rb') as file:
        start = file.read(8)
    kinds = ((b'PK', 'the beginning of a zip file'), (b'\x80', 'a pickle'),
             (b'<', 'a page of the web or XML'), (b'{', 'JSON'),
             (b'\x1f\x8b', 'a gzip file'), (b'version ', 'a Git LFS pointer'))
    kind = next((kind for magic, kind in kinds if start.startswith(magic)),
                f'a file that begins with {start!r}')
    return f'{kind} of {osp.getsize(path)} bytes'


def _read_safetensors(path: str) -> Dict[str, Any]:
    safetensors = import_safetensors()
    try:
        with safetensors.safe_open(path, framework='pt') as file:
            meta = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}
    except OSError:
        raise
    except Exception as error:
        raise CheckpointError(f'{path!r} is not a readable safetensors file: '
                              f'{_first_line(error)}') from error
    try:
        meta = json.loads(meta.get('meta', '{}'))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f'{path!r}: its metadata are not JSON: '
                              f'{_first_line(error)}') from error
    return dict(state_dict=state, meta=meta)


def _of_torch(path: str) -> bool:
    """Whether a pickle begins like those of ``torch.save``."""
    magic = b'\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19'
    with open(path, 'rb') as file:
        start = file.read(16)
    return start.startswith(b'PK') or magic in start


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles only numpy arrays and plain data."""

    def find_class(self, module: str, name: str) -> Callable:
        """Allow only the few functions that build arrays."""
        import numpy as np
        core = getattr(np,
                       'core' if np.__version__.startswith('1.') else '_core')
        known = {
            'numpy.ndarray': np.ndarray,
            'numpy.dtype': np.dtype,
            'multiarray._reconstruct': core.multiarray._reconstruct,
            'multiarray.scalar': core.multiarray.scalar,
            '_codecs.encode': _latin1,
        }
        full = re.sub(r'^numpy\._?core\.', '', f'{module}.{name}')
        if full not in known:
            raise pickle.UnpicklingError(f'GLOBAL {module}.{name}')
        return known[full]


def _latin1(text: str, encoding: str) -> bytes:
    """Decode bytes as a pickle of protocol 2 stores them."""
    return text.encode('latin1')


def _read_arrays(path: str, trust: bool) -> Any:
    """Read a pickle of numpy arrays as tensors."""
    try:
        with open(path, 'rb') as file:
            unpickler = pickle.Unpickler if trust else _ArrayUnpickler
            content = unpickler(file, encoding='latin1').load()
        return _to_tensors(content)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(path, str(error))) from error
    except OSError:
        raise
    except Exception as error:
        raise _unreadable(path, error) from error


def _to_tensors(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _to_tensors(item) for key, item in value.items()}
    if type(value).__name__ == 'ndarray':
        return torch.from_numpy(value.copy())
    return value
