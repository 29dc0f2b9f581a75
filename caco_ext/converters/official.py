# Copyright (c) caco_ext authors. All rights reserved.
"""Find out what a checkpoint of the originals' programs holds."""
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Tuple

from torch import Tensor

from caco_ext.utils.weights import check_weights
from .files import CheckpointError
from .key_maps import METHODS, PROBES, encoder_names, entry_names, with_prefix
from .programs import UNKNOWN
from .recognition import (BANK, describe_value, find_container, foreign,
                          recognise, strip_state)
from .resnet import Architecture, detect
from .survey import survey
from .writing import PLAIN


@dataclass
class Official:
    """A checkpoint of an original, every tensor of it known by name.

    Attributes:
        method (str): 'adco', 'caco', 'clsa', 'care', or 'maple' for a linear
            probe whose keys the first three share.
        probe (bool): Whether it is of a linear probe.
        state (dict[str, Tensor]): Weights, without 'module.'.
        bank (dict[str, Tensor]): AdCo's and CaCo's memory.
        names (dict[str, str]): The package's name of each weight of
            ``state`` and, behind 'Memory_Bank.', of ``bank``.
        architecture (Architecture): Of the backbone.
        epoch (int, optional): Epochs trained.
        keys (dict[str, str]): The file's own key of each weight of
            ``state``, with 'module.' and older names.
        scalars (dict): Plain numbers and strings beside the weights.
        optimizer (dict, optional): State of the optimizer.
        dropped (list[tuple[str, str]]): Top-level entries without
            counterpart, and why.
        relative (bool): Whether CARE's stack has relative positions.
        idle (dict[str, str]): Weights that the file's own program does not
            use, and why.
    """
    method: str
    probe: bool
    state: Dict[str, Tensor]
    bank: Dict[str, Tensor]
    names: Dict[str, str]
    architecture: Architecture
    epoch: Optional[int]
    keys: Dict[str, str]
    scalars: Dict[str, Any]
    optimizer: Optional[Mapping]
    dropped: List[Tuple[str, str]] = field(default_factory=list)
    relative: bool = False
    idle: Dict[str, str] = field(default_factory=dict)

    def tensors(self) -> Dict[str, Tensor]:
        """All tensors by their names in :attr:`names`."""
        return {
            **self.state,
            **{
                f'{BANK}.{name}': value
                for name, value in self.bank.items()
            }
        }


def identify(content: Any, path: str, method: str = 'auto') -> Official:
    """Find out what a checkpoint of an original holds.

    Args:
        content (Any): What the file holds.
        path (str): The file, for errors.
        method (str): 'auto' or the method it has to be of.
            Defaults to 'auto'.

    Returns:
        Official: All about it.

    Raises:
        CheckpointError: It is none, is incomplete, or holds what belongs to
            no single method; says what was found.
    """
    program = survey(content, path).program
    if not program.method and program is not UNKNOWN and method == 'auto':
        raise CheckpointError(foreign(path, content, program))
    container, raw = find_container(content, path)
    state = strip_state(raw, f'{path!r}, {container}')
    bank = content.get(BANK, {})
    if not isinstance(bank, Mapping):
        raise CheckpointError(f'{path!r}: {BANK} is {describe_value(bank)}')
    bank = strip_state(bank, f'{path!r}, {BANK}') if bank else {}
    check_weights({**state, **bank}, path)
    found, probe = recognise(state, bank, path, method, program)
    layout = PROBES['care' if found ==
                    'care' else 'maple'] if probe else METHODS[found]
    if container not in ('', layout.container):
        raise CheckpointError(
            f'{path!r} is mixed up: weights of {found} stand under '
            f'{container!r} and not under {layout.container!r}')
    try:
        names, architecture, relative = _names(found, probe, state)
    except ValueError as error:
        raise CheckpointError(f'{path!r}: {error}') from error
    if bank:
        names.update(
            with_prefix(METHODS[found].bank if not probe else {}, f'{BANK}.',
                        ''))
    official = Official(found, probe, state, bank, names, architecture, None,
                        dict(zip(state, raw)), {}, None, [], relative)
    if probe and found == 'care':
        # its backbone class has the other stream and heads too
        official.idle = {
            name: 'not used by the linear probe'
            for name in state
            if re.match(r'encoder\.(trans|bot|fc[12]?)\.', name)
        }
    _account(official, path)
    _read_rest(official, content, container, layout.epoch)
    return official


def _names(method: str, probe: bool,
           state: Mapping) -> Tuple[Dict[str, str], Architecture, bool]:
    """Names of all entries that a file of this kind has."""
    if probe:
        layout = PROBES['care' if method == 'care' else 'maple']
        backbone = _part(state, layout.backbone)
        architecture = detect(backbone, f'{layout.backbone or "the network"}')
        names = with_prefix(
            {name: f'backbone.{name}'
             for name in architecture.shapes()}, layout.backbone, '')
        heads = [entry_names(rows) for rows in layout.heads]
        names.update(
            next((head for head in heads if set(head) <= set(state)),
                 heads[0]))
        return names, architecture, False
    layout = METHODS[method]
    names, found, relative = {}, [], False
    for prefix, target in ((layout.query, ''), (layout.key, 'key_encoder.')):
        part = _part(state, prefix)
        if not part and prefix == layout.key:
            continue  # _account says what is missing
        found.append(detect(part, prefix[:-1]))
        stack = [re.match(r'trans\.net\.(\d+)\.', name) for name in part]
        blocks = 1 + max((int(m[1]) for m in stack if m), default=-1)
        relative = any('.pos_emb.rel_' in name for name in part)
        names.update(
            with_prefix(
                encoder_names(method, found[-1], prefix == layout.query,
                              blocks, relative), prefix, target))
    if len(set(found)) > 1:
        raise ValueError(f'mixed up: {layout.query[:-1]} is a '
                         f'{found[0].name} and {layout.key[:-1]} a '
                         f'{found[1].name}')
    names.update(layout.memory)
    return names, found[0], relative


def _part(state: Mapping, prefix: str) -> Dict[str, Tensor]:
    """The entries behind a prefix, without it."""
    return {
        name[len(prefix):]: value
        for name, value in state.items() if name.startswith(prefix)
    }


def _account(official: Official, path: str) -> None:
    """See that all entries of the file are known and none is missing."""
    tensors = official.tensors()
    unknown = [
        name for name in tensors
        if name not in official.names and name not in official.idle
    ]
    missing = [name for name in official.names if name not in tensors]
    if not official.probe:
        layout = METHODS[official.method]
        if not any(name.startswith(layout.key) for name in tensors):
            missing.append(f'all of {layout.key}*')
        missing += [
            f'{BANK}.{name}' for name in layout.bank
            if name not in official.bank
        ]
    for kind, names in (('unknown', unknown), ('missing', missing)):
        if names:
            some = ', '.join(names[:5])
            more = ', ...' if len(names) > 5 else ''
            raise CheckpointError(
                f'{path!r}, by its keys of {official.method} with a '
                f'{official.architecture.name}: {len(names)} entries are '
                f'{kind}: {some}{more}')


def _read_rest(official: Official, content: Mapping, container: str,
               epoch: str) -> None:
    """Take epoch, numbers and optimizer from the other entries."""
    if not container:
        return
    for name, value in content.items():
        if name in (container, BANK):
            continue
        if hasattr(value, 'item') and getattr(value, 'size', None) in (1, ):
            value = value.item()  # a number of numpy
        elif isinstance(value, Tensor) and value.numel() == 1:
            value = value.item()
        if name == 'optimizer' and isinstance(value, Mapping):
            official.optimizer = value
        elif type(value) in PLAIN:
            official.scalars[str(name)] = value
        else:
            official.dropped.append(
                (str(name),
                 f'{describe_value(value)}, which no program of the '
                 'four reads'))
    number = official.scalars.get(epoch)
    if number is not None:
        if type(number) is not int or number < 0:
            raise CheckpointError(f'{epoch}={number!r} in the file is no '
                                  'number of epochs')
        official.epoch = number
