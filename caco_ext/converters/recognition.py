# Copyright (c) caco_ext authors. All rights reserved.
"""Tell the originals' checkpoints apart by their keys."""
import re
from typing import Any, Dict, Mapping, Tuple

from torch import Tensor

from .files import CheckpointError

BANK = 'Memory_Bank'


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


def recognise(state: Mapping, bank: Mapping, path: str,
              method: str) -> Tuple[str, bool]:
    """Tell the method by the keys.

    Args:
        state (Mapping): The weights.
        bank (Mapping): The memory, may be empty.
        path (str): The file, for errors.
        method (str): 'auto' or what the user says.

    Returns:
        tuple[str, bool]: Method, and whether it is a linear probe; 'maple'
        is one of AdCo, CaCo or CLSA.

    Raises:
        CheckpointError: It is of none or several, or of another than the
            user says.
    """
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
                f'{describe_value(state)}, {len(state)} in all')
    if method not in ('auto', found[0]):
        if found == ['maple'] and method in ('adco', 'caco', 'clsa'):
            return method, True
        raise CheckpointError(f'--method {method}: {path!r} is of '
                              f'{found[0]}, by its keys')
    return found[0], probe
