# Copyright (c) caco_ext authors. All rights reserved.
"""Find out what a checkpoint of the originals' programs holds."""
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Tuple

from torch import Tensor

from .files import PLAIN, CheckpointError
from .key_maps import METHODS, PROBES, encoder_names, entry_names, with_prefix
from .resnet import Architecture, detect

BANK = 'Memory_Bank'


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
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f'{path!r} holds {_describe(content)}, not a '
                              'checkpoint of AdCo, CaCo, CLSA or CARE')
    container, raw = _container(content, path)
    state = _strip(raw, f'{path!r}, {container}')
    bank = content.get(BANK, {})
    if not isinstance(bank, Mapping):
        raise CheckpointError(f'{path!r}: {BANK} is {_describe(bank)}')
    bank = _strip(bank, f'{path!r}, {BANK}') if bank else {}
    found, probe = _recognise(state, bank, path, method)
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


def _describe(value: Any) -> str:
    """Say what something is, in a few words."""
    if isinstance(value, Mapping):
        keys = ', '.join(str(key) for key in list(value)[:6])
        more = ', ...' if len(value) > 6 else ''
        return f'a dict with {keys}{more}' if value else 'an empty dict'
    return f'a {type(value).__name__}'


def _container(content: Mapping, path: str) -> Tuple[str, Mapping]:
    """Find the weights: (name of their top-level entry or '', weights)."""
    present = [
        name for name in ('state_dict', 'model', 'classifier')
        if isinstance(content.get(name), Mapping)
    ]
    if len(present) > 1:
        raise CheckpointError(f'{path!r} is mixed up: it has weights under '
                              f'{" and ".join(present)}')
    if present:
        return present[0], content[present[0]]
    if all(isinstance(value, Tensor) for value in content.values()):
        return '', content
    raise CheckpointError(
        f'{path!r} holds {_describe(content)} and no weights under '
        'state_dict, model or classifier, where AdCo, CaCo, CLSA and CARE '
        'have them')


def _strip(state: Mapping, where: str) -> Dict[str, Tensor]:
    """Take 'module.' off the keys, and see that values are tensors."""
    if not state:
        raise CheckpointError(f'{where}: empty, no weights')
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(f'{where}: {name!r} is {_describe(value)}, '
                                  'not a tensor')
    module = [name for name in state if name.startswith('module.')]
    if module and len(module) < len(state):
        other = next(name for name in state if not name.startswith('module.'))
        raise CheckpointError(
            f'{where} is mixed up: {len(module)} of {len(state)} keys begin '
            f"with 'module.', others, as {other!r}, do not")
    return {strip_key(name): value for name, value in state.items()}


def strip_key(key: str) -> str:
    """Name of a weight by its key in a file.

    Args:
        key (str): May begin with DDP's 'module.'; older checkpoints of CARE
            call the attention stack 'bot'.

    Returns:
        str: As in the key maps.
    """
    return re.sub(r'^((student|teacher)_encoder\.)bot\.', r'\1trans.',
                  re.sub(r'^module\.', '', key))


def _recognise(state: Mapping, bank: Mapping, path: str,
               method: str) -> Tuple[str, bool]:
    """Tell (method, whether it is a linear probe) by the keys."""
    signs = {
        'care': any(name.startswith('student_encoder.') for name in state),
        'caco': 'encoder_q.fc.6.weight' in state,
        'clsa': 'queue' in state,
        'adco': bool(bank) and 'encoder_q.fc.6.weight' not in state,
    }
    found = [name for name, sign in signs.items() if sign]
    if len(found) > 1:
        raise CheckpointError(f'{path!r} is mixed up: it has the marks of '
                              f'{" and ".join(found)}')
    probe = False
    if not found:
        encoders = any(name.startswith('encoder_q.') for name in state)
        if any(name.startswith('classifier.') for name in state):
            found, probe = ['care'], True
        elif 'conv1.weight' in state and ('fc.weight' in state
                                          or 'fc.1.weight' in state):
            found, probe = ['maple'], True
        elif encoders and method in ('adco', 'clsa'):
            found = [method]
        elif encoders:
            raise CheckpointError(
                f'{path!r} has encoders of AdCo or CLSA and neither a '
                f'{BANK} nor a queue that would tell which; give --method')
        else:
            raise CheckpointError(
                f'{path!r} is of no known method: its weights are '
                f'{_describe(state)}, {len(state)} in all')
    if method not in ('auto', found[0]):
        if found == ['maple'] and method in ('adco', 'caco', 'clsa'):
            return method, True
        raise CheckpointError(f'--method {method}: {path!r} is of '
                              f'{found[0]}, by its keys')
    return found[0], probe


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
                (str(name), f'{_describe(value)}, which no program of the '
                 'four reads'))
    number = official.scalars.get(epoch)
    if number is not None:
        if type(number) is not int or number < 0:
            raise CheckpointError(f'{epoch}={number!r} in the file is no '
                                  'number of epochs')
        official.epoch = number
