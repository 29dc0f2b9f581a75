# Copyright (c) caco_ext authors. All rights reserved.
"""Tell the originals' checkpoints apart by their keys."""
import re
from typing import Any, Dict, Mapping, Tuple

from torch import Tensor

from .files import CheckpointError
from .programs import PROGRAMS, UNKNOWN, Program

BANK = 'Memory_Bank'
# Methods whose linear probes have the same keys.
MAPLE = ('adco', 'caco', 'clsa')


def describe_value(value: Any) -> str:
    """Say what something is, in a few words.

    Args:
        value (Any): What stands in a file.

    Returns:
        str: As 'a dict with epoch, state_dict'.
    """
    if isinstance(value, Mapping):
        keys = ', '.join(str(key) for key in list(value)[:6])
        more = ', ...' if len(value) > 6 else ''
        return f'a dict with {keys}{more}' if value else 'an empty dict'
    return f'a {type(value).__name__}'


def find_container(content: Mapping, path: str) -> Tuple[str, Mapping]:
    """Find the weights.

    Args:
        content (Mapping): What the file holds.
        path (str): The file, for errors.

    Returns:
        tuple[str, Mapping]: Name of their top-level entry, '' when the file
        holds nothing else; the weights.

    Raises:
        CheckpointError: There are none or several.
    """
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
        f'{path!r} holds {describe_value(content)} and no weights under '
        'state_dict, model or classifier, where AdCo, CaCo, CLSA and CARE '
        'have them')


def strip_state(state: Mapping, where: str) -> Dict[str, Tensor]:
    """Take 'module.' off the keys, and see that values are tensors.

    Args:
        state (Mapping): The weights.
        where (str): What to call them in errors.

    Returns:
        dict[str, Tensor]: In the same order, see :func:`strip_key`.

    Raises:
        CheckpointError: There are none, not all are tensors, or the prefix
            is on some only.
    """
    if not state:
        raise CheckpointError(f'{where}: empty, no weights')
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f'{where}: {name!r} is {describe_value(value)}, '
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


def recognise(state: Mapping, bank: Mapping, path: str, method: str,
              program: Program) -> Tuple[str, bool]:
    """Tell the method by the keys.

    Args:
        state (Mapping): The weights.
        bank (Mapping): The memory, may be empty.
        path (str): The file, for errors.
        method (str): 'auto' or what the user says.
        program (Program): What :func:`.survey.survey` says.

    Returns:
        tuple[str, bool]: Method, and whether it is a linear probe; 'maple'
        is one of AdCo, CaCo or CLSA.

    Raises:
        CheckpointError: It is of none or several, or of another than the
            user says.
    """
    classified = 'conv1.weight' in state and ('fc.weight' in state
                                              or 'fc.1.weight' in state)
    signs = {
        'care': any(name.startswith('student_encoder.') for name in state),
        'caco': 'encoder_q.fc.6.weight' in state,
        # MoCo writes the same keys
        'clsa': 'queue' in state and 'clsa' in (method, program.method),
        'adco': bool(bank) and 'encoder_q.fc.6.weight' not in state,
    }
    if 'queue' in state and bank:
        signs['clsa'] = True
    found = [name for name, sign in signs.items() if sign]
    if len(found) > 1:
        raise CheckpointError(f'{path!r} is mixed up: it has the marks of '
                              f'{" and ".join(found)}')
    probe = not found and (classified
                           or any(n.startswith('classifier.') for n in state))
    if probe and 'care' in (method, program.method):
        found = ['care']
    elif probe and (program.method == 'maple' or method in program.alike):
        found = ['maple']
    elif not found and method in ('adco', 'clsa') and any(
            name.startswith('encoder_q.') for name in state):
        found = [method]
    if not found:
        raise CheckpointError(foreign(path, state, program))
    if method not in ('auto', found[0]):
        if found == ['maple'] and method in MAPLE:
            return method, True
        raise CheckpointError(f'--method {method}: {path!r} is of '
                              f'{found[0]}, by its keys')
    return found[0], probe


def foreign(path: str, state: Mapping, program: Program) -> str:
    """Say why a file is of none of the four methods, and what it is for.

    Args:
        path (str): The file.
        state (Mapping): Its weights.
        program (Program): Whose it is.

    Returns:
        str: For the user.
    """
    if program is UNKNOWN:
        return (f'{path!r} is of no known method: its weights are '
                f'{describe_value(state)}, {len(state)} in all')
    if program is PROGRAMS[0]:
        return (f'{path!r} is of this package already, and resumes as it is; '
                "--back writes it for its original's program")
    text = (f'{path!r} is {program.name}, by its keys, and no training goes '
            'on from it here; --part backbone takes its backbone')
    if program.alike:
        text += ('. Where you know that it is of one of these, give --method '
                 f'{"|".join(program.alike)}')
    return text
