# Licensed under the Apache License, Version 2.0.
"""Read and write mmengine's checkpoints with current torch."""
import argparse
import functools
import os.path as osp
from typing import Any, Callable, Dict, Mapping, Tuple

from caco_ext.utils.checkpoints import CheckpointError, read_checkpoint
from caco_ext.utils.weights import check_weights
from .versions import Outcome


def _needed_methods() -> Dict[type, Tuple[str, ...]]:
    """Return {class: methods} that checkpoints of mmengine refer to."""
    from mmengine.logging import HistoryBuffer
    from mmengine.optim import OneCycleLR
    one_cycle = next(c for c in OneCycleLR.__mro__
                     if '_annealing_cos' in vars(c))
    return {
        HistoryBuffer: ('min', 'max', 'mean', 'current'),
        one_cycle: ('_annealing_cos', '_annealing_linear'),
    }


def _needed_method(owner: type, name: str) -> Callable:
    """Stand in for ``getattr`` when a checkpoint is read.

    Args:
        owner (type): One of the classes of :func:`_needed_methods`.
        name (str): One of the methods named there.

    Returns:
        Callable: The method.

    Raises:
        ValueError: If the checkpoint asks for anything else.
    """
    if name not in _needed_methods().get(owner, ()):
        raise ValueError(f'the checkpoint asks for attribute {name!r} of '
                         f'{owner!r}, which no checkpoint of mmengine needs; '
                         'it is not loaded')
    return getattr(owner, name)


def allow_checkpoint_classes() -> Outcome:
    """Let ``torch.load`` read what mmengine writes into checkpoints.

    What breaks: torch >= 2.6 loads tensors and plain containers only, and
    mmengine 0.10 saves its message hub, so that ``--resume``, ``load_from``
    and ``init_cfg=Pretrained`` end with ``Weights only load failed``.

    Remedy: allow the classes found in such checkpoints and nothing else: numpy
    numbers and arrays of numbers, ``HistoryBuffer``, ``ConfigDict`` (in the
    meta information of a dataset), the one-cycle scheduler, and the plain
    ``argparse.Namespace`` of other programs' options. ``getattr``, through
    which methods of the latter are pickled, is replaced by
    :func:`_needed_method`, since the real one would open the door to
    everything. The check itself stays on, also with onedl-mmengine, whose
    loader allows that ``getattr`` and turns the check off where it fails.

    Needed while mmengine 0.10 is the engine.
    """
    import torch
    if _release(torch.__version__) < (2, 6):
        return False, f'torch {torch.__version__} does not refuse them'
    import numpy as np
    from mmengine.config import ConfigDict
    core = getattr(np, 'core' if np.__version__.startswith('1.') else '_core')
    allowed = [
        *_needed_methods(), ConfigDict, argparse.Namespace, np.ndarray,
        np.dtype, (_needed_method, 'builtins.getattr')
    ]
    # A file written beside numpy 2 is read beside numpy 1 and vice versa.
    for package in ('numpy.core', 'numpy._core'):
        allowed.append((core.multiarray._reconstruct,
                        f'{package}.multiarray._reconstruct'))
        allowed.append(
            (core.multiarray.scalar, f'{package}.multiarray.scalar'))
    allowed += [type(np.dtype(code)) for code in '?bBhHiIlLqQefd']
    torch.serialization.add_safe_globals(allowed)
    from mmengine.runner import checkpoint
    if hasattr(checkpoint, '_safe_torch_load'):
        checkpoint._safe_torch_load = functools.partial(
            torch.load, weights_only=True)
    return True, f'torch {torch.__version__} loads with weights_only=True'


def notice_damaged_checkpoints() -> Outcome:
    """Let mmengine notice that a local checkpoint is damaged.

    What breaks: a file of ``torch.save`` holds a checksum of each part, which
    ``torch.load`` does not verify. A flipped bit or NaN in the weights enters
    the model unnoticed.

    Remedy: ``--resume``, ``load_from`` and ``init_cfg=Pretrained`` verify the
    checksums first, and refuse weights with NaN and the like. That takes
    about a second per gigabyte.

    Needed until ``torch.load`` verifies the checksums itself.
    """
    import torch
    from mmengine.runner import CheckpointLoader

    # Older releases of torch unpickle everything themselves.
    trust = _release(torch.__version__) < (2, 6)

    # mmengine strips the first ten letters of the name and logs the rest.
    def load_from_local(filename: str, map_location: Any) -> Any:
        path = osp.expanduser(filename)
        content = read_checkpoint(path, trust, map_location)
        state = content
        if isinstance(content, Mapping):
            state = content.get('state_dict', content)
        if not isinstance(state, Mapping):
            raise CheckpointError(f'{path!r} holds a {type(state).__name__} '
                                  'where weights should be')
        check_weights(state, path)
        return content

    CheckpointLoader.register_scheme(
        prefixes='', loader=load_from_local, force=True)
    return True, 'torch reads damaged files in silence'


def _release(version: str) -> Tuple[int, ...]:
    """Return (major, minor) of a version string."""
    return tuple(int(part) for part in version.split('.')[:2])
