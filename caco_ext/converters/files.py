# Copyright (c) caco_ext authors. All rights reserved.
"""Weights, meta data and source of a checkpoint; and writing it."""
import argparse
import hashlib
import io
import json
import os.path as osp
import platform
from typing import Any, Dict, Mapping, Tuple, Union

import torch
from torch import Tensor

from caco_ext.utils.checkpoints import CheckpointError, import_safetensors
from caco_ext.utils.files import check_output, write_whole
from caco_ext.utils.weights import check_weights
from caco_ext.version import __version__

PLAIN = (str, int, float, bool, type(None))
# Meta data that are also true of each part of the weights.
LASTING = ('method', 'epoch', 'iter', 'part', 'origin', 'supervised')


def add_source_arguments(parser: argparse.ArgumentParser,
                         prefix: bool = True,
                         trust: bool = True) -> None:
    """Add the options of tools that read files of any program.

    Args:
        parser (ArgumentParser): The tool's parser.
        prefix (bool): Add the option that names one of several backbones.
            Defaults to True.
        trust (bool): Add the option that allows unpickling a file.
            Defaults to True.
    """
    if prefix:
        parser.add_argument(
            '--src-prefix',
            default='',
            metavar='PREFIX',
            help='which backbone of a file, by what its keys begin with, as '
            "'teacher.'; needed where it has several or its program is not "
            'known')
    if trust:
        parser.add_argument(
            '--trust',
            action='store_true',
            help='read a file that holds more than tensors and plain data, '
            'and run whatever code it names; only for files of people you '
            'know')


def sha256(path: str) -> str:
    """Hash of a file, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for part in iter(lambda: file.read(1 << 20), b''):
            digest.update(part)
    return digest.hexdigest()


def weights_of(content: Any, path: str) -> Tuple[Dict[str, Tensor], dict]:
    """State dict and meta data of a checkpoint of this package or a host.

    Args:
        content (Any): What the file holds.
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


def behind(state: Mapping[str, Tensor], prefix: str) -> Dict[str, Tensor]:
    """The weights whose names begin with a prefix, without it."""
    return {
        name[len(prefix):]: value
        for name, value in state.items() if name.startswith(prefix)
    }


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


def provenance(path: str, known: Mapping[str, Any],
               **entries: Any) -> Dict[str, Any]:
    """Meta data about the source, for every file written here.

    Args:
        path (str): The source file.
        known (Mapping[str, Any]): Meta data of the source. The entries in
            :data:`LASTING` are copied.
        **entries (Any): More entries; those that are None are left out.

    Returns:
        dict[str, Any]: 'source', 'source_sha256', versions and the entries.
    """
    meta = dict(
        source=osp.basename(path),
        source_sha256=sha256(path),
        caco_ext_version=__version__,
        torch_version=str(torch.__version__),
        python_version=platform.python_version())
    lasting = {name: known.get(name) for name in LASTING}
    for name, value in (*lasting.items(), *entries.items()):
        if value is not None:
            meta[name] = value
    return meta


def plain(value: Any, where: str = 'meta') -> Any:
    """Check that something is made of tensors and plain data, and copy it.

    Tensors become contiguous and get their own storage. Otherwise a view
    would be saved with the whole tensor that it is a view of.

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


def write_checkpoint(content: Mapping[str, Any], path: str) -> None:
    """Write a checkpoint in the format that its ending names.

    Args:
        content (Mapping[str, Any]): Has 'state_dict' and 'meta'. In
            ``.safetensors`` nothing else is stored.
        path (str): ``*.safetensors``, or anything for ``torch.save``.

    Raises:
        CheckpointError: Something other than tensors and plain data is in
            it, or safetensors is not installed.
        UsageError: See :func:`caco_ext.utils.files.check_output`.
        OSError: It cannot be written. An old file is unchanged.
    """
    check_output(path)
    write_whole(path, serialize(content, path.endswith('.safetensors')))


def serialize(content: Mapping[str, Any],
              safetensors: bool = False) -> Union[bytes, memoryview]:
    """Make the bytes that :func:`write_checkpoint` writes.

    This is done in memory, as the formats' own writers raise odd errors if a
    disk is full, and torch's stores the name of its file.
    """
    content = plain(content, 'checkpoint')
    if safetensors:
        meta = dict(format='pt', meta=json.dumps(content.get('meta', {})))
        return import_safetensors().torch.save(
            content['state_dict'], metadata=meta)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getbuffer()


def beside(path: str) -> str:
    """Name of the safetensors file beside a checkpoint."""
    return f'{osp.splitext(path)[0]}.safetensors'
