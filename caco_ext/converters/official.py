# Copyright (c) caco_ext authors. All rights reserved.
"""Identify a checkpoint of an original program."""
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Tuple

from torch import Tensor

from caco_ext.utils.checkpoints import CheckpointError
from caco_ext.utils.text import first_of
from caco_ext.utils.weights import check_weights
from .files import PLAIN, behind
from .key_maps import (BANK, METHODS, PROBES, method_names, probe_names,
                       strip_key)
from .programs import PROGRAMS, UNKNOWN, Program, survey
from .resnet import Architecture, detect

# Names of the methods for messages. 'maple' is a probe of one of three.
TITLES = dict(
    adco='AdCo',
    caco='CaCo',
    clsa='CLSA',
    care='CARE',
    maple='AdCo, CaCo or CLSA')


@dataclass
class Official:
    """A checkpoint of an original, in which every tensor has a known name.

    Attributes:
        method (str): 'adco', 'caco', 'clsa', 'care', or 'maple' for a linear
            probe, as the first three share its keys.
        probe (bool): Whether it is a linear probe.
        state (dict[str, Tensor]): Weights without 'module.'. AdCo's and
            CaCo's memory begins with 'Memory_Bank.'.
        names (dict[str, str]): The package's name of each weight.
        architecture (Architecture): Architecture of the backbone.
        keys (dict[str, str]): The file's own key of each weight, with
            'module.' and older names.
        relative (bool): Whether CARE's stack has relative positions.
        epoch (int, optional): Epochs trained.
        scalars (dict): Plain numbers and strings beside the weights.
        optimizer (dict, optional): State of the optimizer.
        dropped (list[tuple[str, str]]): Top-level entries without a
            counterpart, and the reason.
        idle (dict[str, str]): Weights that the file's own program does not
            use, and the reason.
    """
    method: str
    probe: bool
    state: Dict[str, Tensor]
    names: Dict[str, str]
    architecture: Architecture
    keys: Dict[str, str]
    relative: bool = False
    epoch: Optional[int] = None
    scalars: Dict[str, Any] = field(default_factory=dict)
    optimizer: Optional[Mapping] = None
    dropped: List[Tuple[str, str]] = field(default_factory=list)
    idle: Dict[str, str] = field(default_factory=dict)

    def describe(self) -> str:
        """Description of the file in one line."""
        kind = 'linear probe' if self.probe else 'pre-training'
        epoch = 'an unknown number of' if self.epoch is None else self.epoch
        return (f'{kind} of {TITLES[self.method]}, {self.architecture.name}, '
                f'{epoch} epochs, {len(self.state)} tensors')


def identify(content: Any, path: str, method: str = 'auto') -> Official:
    """Identify a checkpoint of an original program.

    Args:
        content (Any): Content of the file.
        path (str): The file, for errors.
        method (str): 'auto' or the expected method. Defaults to 'auto'.

    Returns:
        Official: Its description.

    Raises:
        CheckpointError: It is not such a file, is incomplete, or matches no
            single method. Says what was found.
    """
    program = survey(content, path).program
    if not program.method and program is not UNKNOWN and method == 'auto':
        raise CheckpointError(_foreign(path, content, program))
    container, raw = _find_container(content, path)
    state = _strip_state(raw, f'{path!r}, {container}')
    bank = content.get(BANK, {})
    if not isinstance(bank, Mapping):
        raise CheckpointError(f'{path!r}: {BANK} is {_describe_value(bank)}')
    bank = _strip_state(bank, f'{path!r}, {BANK}') if bank else {}
    check_weights({**state, **bank}, path)
    found, probe = _recognise(state, bank, path, method, program)
    name = found if not probe or found == 'care' else 'maple'
    layout = (PROBES if probe else METHODS)[name]
    if container not in ('', layout.container):
        raise CheckpointError(
            f'{path!r} is mixed up: weights of {found} stand under '
            f'{container!r} and not under {layout.container!r}')
    try:
        names, architecture = (_probe_names if probe else _method_names)(name,
                                                                         state)
    except ValueError as error:
        raise CheckpointError(f'{path!r}: {error}') from error
    keys = dict(zip(state, raw))
    state.update({f'{BANK}.{name}': value for name, value in bank.items()})
    official = Official(found, probe, state, names, architecture, keys,
                        any('.pos_emb.rel_' in name for name in state))
    if probe and found == 'care':
        # CARE's backbone class also has the other stream and heads.
        official.idle = {
            name: 'not used by the linear probe'
            for name in state
            if re.match(r'encoder\.(trans|bot|fc[12]?)\.', name)
        }
    _check_complete(official, path)
    if container:
        rest = {n: v for n, v in content.items() if n not in (container, BANK)}
        _read_rest(official, rest, layout.epoch)
    return official


def _describe_value(value: Any) -> str:
    """Describe a value, such as 'a dict with epoch, state_dict'."""
    if isinstance(value, Mapping):
        names = first_of(value, 6)
        return f'a dict with {names}' if value else 'an empty dict'
    return f'a {type(value).__name__}'


def _find_container(content: Mapping, path: str) -> Tuple[str, Mapping]:
    """Find the weights and the name of their top-level entry, '' if the file
    holds nothing else."""
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
        f'{path!r} holds {_describe_value(content)} and no weights under '
        'state_dict, model or classifier, where AdCo, CaCo, CLSA and CARE '
        'have them')


def _strip_state(state: Mapping, where: str) -> Dict[str, Tensor]:
    """Strip 'module.' from the keys, and check that values are tensors."""
    if not state:
        raise CheckpointError(f'{where}: empty, no weights')
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(f'{where}: {name!r} is '
                                  f'{_describe_value(value)}, not a tensor')
    others = [name for name in state if not name.startswith('module.')]
    if 0 < len(others) < len(state):
        raise CheckpointError(
            f'{where} is mixed up: {len(state) - len(others)} of {len(state)} '
            f"keys begin with 'module.', others, as {others[0]!r}, do not")
    return {strip_key(name): value for name, value in state.items()}


def _recognise(state: Mapping, bank: Mapping, path: str, method: str,
               program: Program) -> Tuple[str, bool]:
    """Find the method by the keys, 'maple' for AdCo, CaCo or CLSA, and
    whether the file is a linear probe."""
    signs = {
        'care':
        any(name.startswith('student_encoder.') for name in state),
        'caco':
        'encoder_q.fc.6.weight' in state,
        # MoCo writes the same keys
        'clsa':
        'queue' in state
        and (bool(bank) or 'clsa' in (method, program.method)),
        'adco':
        bool(bank) and 'encoder_q.fc.6.weight' not in state,
    }
    found = [name for name, sign in signs.items() if sign]
    if len(found) > 1:
        raise CheckpointError(f'{path!r} is mixed up: it has the marks of '
                              f'{" and ".join(found)}')
    probe = not found and (
        'conv1.weight' in state
        and not {'fc.weight', 'fc.1.weight'}.isdisjoint(state)
        or any(name.startswith('classifier.') for name in state))
    if probe and 'care' in (method, program.method):
        found = ['care']
    elif probe and (program.method == 'maple' or method in program.alike):
        found = ['maple']
    elif not found and method in ('adco', 'clsa') and any(
            name.startswith('encoder_q.') for name in state):
        found = [method]
    if not found:
        raise CheckpointError(_foreign(path, state, program))
    if found == ['maple'] and method in ('adco', 'caco', 'clsa'):
        return method, True
    if method not in ('auto', found[0]):
        raise CheckpointError(f'--method {method}: {path!r} is of '
                              f'{found[0]}, by its keys')
    return found[0], probe


def _foreign(path: str, state: Mapping, program: Program) -> str:
    """Say why a file is of none of the four methods, and how to use it."""
    if program is UNKNOWN:
        return (f'{path!r} is of no known method: its weights are '
                f'{_describe_value(state)}, {len(state)} in all')
    if program is PROGRAMS[0]:
        return (f'{path!r} is of this package already, and resumes as it is; '
                "--back writes it for its original's program")
    text = (f'{path!r} is {program.name}, by its keys, and no training goes '
            'on from it here; --part backbone takes its backbone')
    if program.alike:
        text += ('. Where you know that it is of one of these, give --method '
                 f'{"|".join(program.alike)}')
    return text


def _probe_names(layout: str,
                 state: Mapping) -> Tuple[Dict[str, str], Architecture]:
    """Names of all entries of a linear probe, and its architecture."""
    prefix = PROBES[layout].backbone
    architecture = detect(behind(state, prefix), prefix or 'the network')
    return probe_names(layout, architecture, state), architecture


def _method_names(method: str,
                  state: Mapping) -> Tuple[Dict[str, str], Architecture]:
    """Names of all entries of a pre-training, and its architecture."""
    layout = METHODS[method]
    query, key = (behind(state, p) for p in (layout.query, layout.key))
    architecture = detect(query, layout.query[:-1])
    stack = [re.match(r'trans\.net\.(\d+)\.', name) for name in query]
    names = method_names(method, architecture, 1 + max(
        (int(m[1]) for m in stack if m), default=-1),
                         any('.pos_emb.rel_' in name for name in query))
    if not key:  # name one missing entry for all of them
        names = {
            n: v
            for n, v in names.items() if not n.startswith(layout.key)
        }
        return {**names, f'all of {layout.key}*': ''}, architecture
    other = detect(key, layout.key[:-1])
    if other != architecture:
        raise ValueError(f'mixed up: {layout.query[:-1]} is a '
                         f'{architecture.name} and {layout.key[:-1]} a '
                         f'{other.name}')
    return names, architecture


def _check_complete(official: Official, path: str) -> None:
    """Check that all entries of the file are known and none is missing."""
    unknown = [
        name for name in official.state
        if name not in official.names and name not in official.idle
    ]
    missing = [name for name in official.names if name not in official.state]
    for kind, names in (('unknown', unknown), ('missing', missing)):
        if names:
            raise CheckpointError(
                f'{path!r}, by its keys of {official.method} with a '
                f'{official.architecture.name}: {len(names)} entries are '
                f'{kind}: {first_of(names, 5)}')


def _read_rest(official: Official, rest: Mapping, epoch: str) -> None:
    """Read epoch, numbers and optimizer from the other entries."""
    for name, value in rest.items():
        if isinstance(value, Tensor) and value.numel() == 1 or (hasattr(
                value, 'item') and getattr(value, 'size', 0) == 1):
            value = value.item()  # a scalar of torch or numpy
        if name == 'optimizer' and isinstance(value, Mapping):
            official.optimizer = value
        elif type(value) in PLAIN:
            official.scalars[str(name)] = value
        else:
            official.dropped.append(
                (str(name),
                 f'{_describe_value(value)}, which no program of the '
                 'four reads'))
    number = official.scalars.get(epoch)
    if number is not None:
        if type(number) is not int or number < 0:
            raise CheckpointError(f'{epoch}={number!r} in the file is no '
                                  'number of epochs')
        official.epoch = number
