"""What a run is beside its weights: random generators, place in the data."""
import random
from typing import Any, Dict, List, Optional

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.runner import Runner


def rng_state() -> Dict[str, Any]:
    """States of this process's generators.

    Returns:
        dict[str, Any]: Tensors and plain data: 'torch', 'cuda' (of the
        present device, where there is one), 'numpy' and 'python'.
    """
    name, keys, *rest = np.random.get_state()
    state = dict(
        torch=torch.get_rng_state(),
        numpy=[name, keys.tolist(), *rest],
        python=random.getstate())
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_rng_state(state: Dict[str, Any]) -> None:
    """Counterpart of :func:`rng_state`.

    Args:
        state (dict[str, Any]): As :func:`rng_state` gives it.
    """
    # loading moves all tensors of a file to the device of the model
    torch.set_rng_state(state['torch'].cpu())
    name, keys, *rest = state['numpy']
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    version, internal, gauss = state['python']
    random.setstate((version, tuple(internal), gauss))
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


def collect(runner: Runner, batches_done: int) -> Dict[str, Any]:
    """What a checkpoint needs so that the run goes on to the same numbers.

    Every rank must call it.

    Args:
        runner (Runner): The runner of the training.
        batches_done (int): Batches of the present epoch that were trained.

    Returns:
        dict[str, Any]: 'batches_done', 'epoch_length', 'global_batch' and
        'rng', a list with the generators of each rank.
    """
    loader = runner.train_dataloader
    return dict(
        batches_done=batches_done,
        epoch_length=len(loader),
        global_batch=(loader.batch_size or 0) * get_world_size(),
        rng=all_gather_object(rng_state()))


def check(state: Dict[str, Any], runner: Runner) -> None:
    """Refuse to go on where the batches would be others.

    The number of processes may change as long as their batches together stay
    as large.

    Args:
        state (dict[str, Any]): Of :func:`collect`.
        runner (Runner): The runner that resumes.

    Raises:
        ValueError: The global batch changed, or in the middle of an epoch
            the length of the epoch.
    """
    loader, ranks = runner.train_dataloader, get_world_size()
    batch, before = (loader.batch_size or 0) * ranks, state['global_batch']
    if batch != before:
        way = (f'set train_dataloader.batch_size={before // ranks}' if before %
               ranks == 0 else 'use a number of processes that divides it')
        raise ValueError(
            f'the checkpoint was trained with a global batch of {before} '
            f'pictures, and train_dataloader.batch_size={loader.batch_size} '
            f'on {ranks} process(es) makes {batch}; {way}, or start from its '
            'weights with load_from and resume=False')
    if state['batches_done'] and len(loader) != state['epoch_length']:
        raise ValueError(
            f'the checkpoint is from the middle of an epoch of '
            f'{state["epoch_length"]} batches, and the data set now makes '
            f'{len(loader)}; bring the data set back, or resume from a '
            'checkpoint of the end of an epoch')


def own_rng(states: List[dict]) -> Optional[dict]:
    """Generators of this rank.

    Args:
        states (list[dict]): Of the ranks that made the checkpoint.

    Returns:
        dict | None: None on a rank that did not exist then; its generators
        stay as the seed of the run left them.
    """
    return states[get_rank()] if get_rank() < len(states) else None
