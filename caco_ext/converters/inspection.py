# Copyright (c) caco_ext authors. All rights reserved.
"""Describe a checkpoint in ten lines."""
import os.path as osp
from typing import Any, Dict, List, Mapping, Optional

from torch import Tensor

from caco_ext.utils.checkpoints import CheckpointError, read_checkpoint
from caco_ext.utils.text import first_of
from .backbones import find_backbone
from .files import sha256
from .official import identify
from .programs import UNKNOWN, survey
from .to_official import method_of


def inspect(path: str, trust: bool = False) -> List[str]:
    """Describe a file.

    Args:
        path (str): Any checkpoint.
        trust (bool): See :func:`read_checkpoint`. Defaults to False.

    Returns:
        list[str]: Ten lines, 'name: value'.

    Raises:
        CheckpointError: It cannot be read.
    """
    content = read_checkpoint(path, trust)
    meta = content.get('meta') if isinstance(content, Mapping) else None
    meta = meta if isinstance(meta, Mapping) else {}
    tensors = _tensors(content)
    numbers = sum(value.numel() for value in tensors)
    kinds = sorted({str(value.dtype).split('.')[-1] for value in tensors})
    versions = ', '.join(f'{name[:-len("_version")]} {value}'
                         for name, value in meta.items()
                         if str(name).endswith('_version'))
    source = meta.get('source')
    if source is not None:
        digest = str(meta.get('source_sha256', ''))[:12]
        source = f'{source} {digest}'.strip()
    lines = dict(
        file=f'{path}, {osp.getsize(path) / 2**20:.1f} MiB',
        sha256=sha256(path),
        **_nature(content, path, meta),
        parts=_parts(content),
        tensors=f'{len(tensors)}, {numbers:,} numbers, {", ".join(kinds)}',
        versions=versions or None,
        source=source)
    return [
        f'{name}: {"not recorded" if value is None else value}'
        for name, value in lines.items()
    ]


def _tensors(content: Any) -> List[Tensor]:
    """All tensors anywhere in a checkpoint, each only once."""
    found, seen, waiting = [], set(), [content]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, (list, tuple)):
            waiting += value
    return found


def _nature(content: Any, path: str,
            meta: Mapping) -> Dict[str, Optional[str]]:
    """Kind of the file, its method, backbone and epoch."""
    method: Optional[str] = 'unknown'
    epoch, architecture = meta.get('epoch'), 'unknown'
    try:
        backbone = find_backbone(content, path)
    except CheckpointError as error:
        # A damaged file or one of another program: say why.
        kind = f'{_program(content, path)}: {error}'.replace(repr(path), 'it')
    else:
        kind, method = backbone.source, backbone.meta.get('method')
        architecture = backbone.architecture.name
        if kind.startswith("authors'"):
            official = identify(content, path)
            kind, epoch = f"authors' {official.describe()}", official.epoch
        elif method_of(content.get('state_dict',
                                   content)) and 'optimizer' in content:
            kind += ', to resume from'
        if 'part' in meta:
            kind += f' ({meta["part"]})'
    return dict(kind=kind, method=method, backbone=architecture, epoch=epoch)


def _program(content: Any, path: str) -> str:
    """Program that wrote the file."""
    try:
        program = survey(content, path).program
    except CheckpointError:
        return 'unknown'
    return 'unknown' if program is UNKNOWN else f'checkpoint {program.name}'


def _parts(content: Any) -> str:
    """Top-level entries, those of the weights with their modules."""
    if not isinstance(content, Mapping):
        return type(content).__name__
    parts = []
    for name, value in content.items():
        if isinstance(value, Mapping) and value and all(
                isinstance(v, Tensor) for v in value.values()):
            heads = dict.fromkeys(
                str(key).removeprefix('module.').split('.')[0]
                for key in value)
            parts.append(f'{name} ({first_of(heads, 8)})')
        elif not isinstance(value, Tensor):
            parts.append(str(name))
    return ', '.join(parts) or f'{len(content)} tensors'
