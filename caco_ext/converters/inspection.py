# Copyright (c) caco_ext authors. All rights reserved.
"""Say what a checkpoint is, in ten lines."""
import os.path as osp
from typing import Any, Dict, List, Mapping

from torch import Tensor

from .backbones import find_backbone
from .files import CheckpointError, read_checkpoint, sha256
from .official import identify
from .programs import UNKNOWN
from .report import describe
from .survey import survey
from .to_official import method_of


def inspect(path: str, trust: bool = False) -> List[str]:
    """Say what a file is.

    Args:
        path (str): Any checkpoint.
        trust (bool): See :func:`read_checkpoint`. Defaults to False.

    Returns:
        list[str]: Ten lines, 'name: value'.

    Raises:
        CheckpointError: It cannot be read.
    """
    content = read_checkpoint(path, trust)
    digest = sha256(path)
    meta = content.get('meta') if isinstance(content, Mapping) else None
    meta = meta if isinstance(meta, Mapping) else {}
    tensors = _tensors(content)
    numbers = sum(value.numel() for value in tensors)
    kinds = sorted({str(value.dtype).split('.')[-1] for value in tensors})
    lines = dict(
        file=f'{path}, {osp.getsize(path) / 2**20:.1f} MiB',
        sha256=digest,
        **_nature(content, path, meta),
        parts=_parts(content),
        tensors=f'{len(tensors)}, {numbers:,} numbers, {", ".join(kinds)}',
        versions=', '.join(f'{name[:-len("_version")]} {value}'
                           for name, value in meta.items()
                           if str(name).endswith('_version'))
        or 'not recorded',
        source=_source(meta))
    return [f'{name}: {value}' for name, value in lines.items()]


def _tensors(content: Any) -> List[Tensor]:
    """All tensors anywhere in a checkpoint; what stands twice counts once."""
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


def _nature(content: Any, path: str, meta: Mapping) -> Dict[str, str]:
    """What it is, its method, backbone and epoch."""
    epoch = meta.get('epoch')
    try:
        backbone = find_backbone(content, path)
    except CheckpointError as error:
        # a file of another program, or damaged: say why
        reason = str(error).replace(repr(path), 'it')
        return dict(
            kind=f'{_program(content, path)}: {reason}',
            method='unknown',
            backbone='unknown',
            epoch=_known(epoch))
    kind = backbone.source
    if kind.startswith("authors'"):
        official = identify(content, path)
        kind = f"authors' {describe(official)}"
        epoch = official.epoch
    else:
        state = content.get('state_dict', content)
        if method_of(state) and 'optimizer' in content:
            kind += ', to resume from'
        kind += f' ({meta["part"]})' if 'part' in meta else ''
    return dict(
        kind=kind,
        method=_known(backbone.meta.get('method')),
        backbone=backbone.architecture.name,
        epoch=_known(epoch))


def _known(value: Any) -> str:
    return 'not recorded' if value is None else str(value)


def _program(content: Any, path: str) -> str:
    """Which program's a file is."""
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
            heads = []
            for key in value:
                head = str(key).removeprefix('module.').split('.')[0]
                if head not in heads:
                    heads.append(head)
            more = ', ...' if len(heads) > 8 else ''
            parts.append(f'{name} ({", ".join(heads[:8])}{more})')
        elif not isinstance(value, Tensor):
            parts.append(str(name))
    return ', '.join(parts) or f'{len(content)} tensors'


def _source(meta: Mapping) -> str:
    if 'source' not in meta:
        return 'not recorded'
    digest = str(meta.get('source_sha256', ''))[:12]
    return f'{meta["source"]} {digest}'.strip()
