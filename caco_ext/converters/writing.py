# Copyright (c) caco_ext authors. All rights reserved.
"""Write checkpoints whole, of tensors and plain data only."""
import json
import os
import os.path as osp
import platform
import tempfile
from typing import Any, Callable, Dict, Mapping

import torch
from torch import Tensor

from caco_ext.version import __version__
from .files import CheckpointError, import_safetensors, sha256

PLAIN = (str, int, float, bool, type(None))


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
    safetensors = import_safetensors()
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
