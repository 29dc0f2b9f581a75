"""State of a run beside its weights: random generators, data position."""
import os.path as osp
import pickle
import random
from functools import partial
from hashlib import blake2b
from typing import Any, Dict, Iterator, List, Optional, Tuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.runner import Runner

from caco_ext.utils.errors import UsageError
from caco_ext.utils.run_config import Change

# Name of a change of the data set in the list of changed options.
DATA = 'the training pictures'
# The same for a change of the epoch's length, which depends on the number of
# pictures, drop_last and the number of processes.
LENGTH = 'batches in an epoch'
# Cached, because describing a large data set takes seconds.
_described: WeakKeyDictionary = WeakKeyDictionary()


def rng_state() -> Dict[str, Any]:
    """States of this process's generators.

    Returns:
        dict[str, Any]: Tensors and plain data: 'torch', 'cuda' (of the
        present device, where there is one), 'numpy' and 'python'.
    """
    numpy: Any = np.random.get_state()
    name, keys, *rest = numpy
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
        state (dict[str, Any]): From :func:`rng_state`.
    """
    # Loading a checkpoint may have moved its tensors to the model's device.
    torch.set_rng_state(state['torch'].cpu())
    name, keys, *rest = state['numpy']
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    version, internal, gauss = state['python']
    random.setstate((version, tuple(internal), gauss))
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


def collect(runner: Runner, batches_done: int) -> Dict[str, Any]:
    """State that a checkpoint needs so that the run resumes exactly.

    Every rank must call it.

    Args:
        runner (Runner): The runner of the training.
        batches_done (int): Batches trained in the present epoch.

    Returns:
        dict[str, Any]: 'batches_done', 'epoch_length', 'global_batch',
        'data' (:func:`describe`), 'sampler_seed' (None without a seed) and
        'rng', a list with the generators of each rank.
    """
    loader = runner.train_dataloader
    return dict(
        batches_done=batches_done,
        epoch_length=len(loader),
        global_batch=(loader.batch_size or 0) * get_world_size(),
        data=describe(loader.dataset),
        sampler_seed=getattr(loader.sampler, 'seed', None),
        rng=all_gather_object(rng_state()))


def describe(dataset: Any) -> Dict[str, Any]:
    """Which pictures a data set has, in which order.

    Args:
        dataset (Dataset): The training data set.

    Returns:
        dict[str, Any]: 'length' and 'digest', a checksum of paths and labels.
        Paths are relative to their common folder, which may thus be moved.
        The digest is '' if the data set has no list of pictures.
    """
    if dataset not in _described:
        entries = list(_entries(dataset))
        paths = [path for path, _ in entries]
        digest = ''
        if entries:
            shared = osp.commonprefix([min(paths), max(paths)])
            start = shared.rfind('/') + 1
            text = '\n'.join(f'{path[start:]}\t{label}'
                             for path, label in entries)
            digest = blake2b(
                text.encode(errors='surrogatepass'),
                digest_size=16).hexdigest()
        _described[dataset] = dict(length=len(dataset), digest=digest)
    return _described[dataset]


def _entries(dataset: Any) -> Iterator[Tuple[str, Any]]:
    """Path and label of each picture, also of wrapped data sets."""
    for inner in getattr(dataset, 'datasets', ()):
        yield from _entries(inner)
    if hasattr(dataset, 'dataset'):
        yield from _entries(dataset.dataset)
    infos = getattr(dataset, 'data_list', None) or ()
    if len(getattr(dataset, 'data_bytes', ())):
        # mmengine's own access would copy each entry.
        view, ends = memoryview(
            dataset.data_bytes), dataset.data_address.tolist()
        infos = (pickle.loads(view[start:end])
                 for start, end in zip([0] + ends[:-1], ends))
    for info in infos:
        yield str(info.get('img_path', '')), info.get('gt_label')


def inside_epoch(checkpoint: Dict[str, Any]) -> bool:
    """Whether a checkpoint was made inside an epoch or the bank's fill.

    Args:
        checkpoint (dict): The checkpoint.

    Returns:
        bool: Also False if the checkpoint does not record it.
    """
    state = checkpoint.get('run_state') or {}
    return bool(state.get('batches_done')) or 'fill_steps' in checkpoint


def data_changes(checkpoint: Dict[str, Any], runner: Runner) -> List[Change]:
    """How the training pictures differ from those of a checkpoint.

    Args:
        checkpoint (dict): The checkpoint.
        runner (Runner): The runner that resumes.

    Returns:
        list[Change]: None or one.
    """
    before = (checkpoint.get('run_state') or {}).get('data')
    now = describe(runner.train_dataloader.dataset)
    if before is None or before == now:
        return []
    name = DATA
    if before['length'] == now['length']:
        name += ' (other names, labels or order)'
    return [Change(name, before['length'], now['length'])]


def length_changes(checkpoint: Dict[str, Any], runner: Runner) -> List[Change]:
    """How the length of an epoch differs from that of a checkpoint.

    Args:
        checkpoint (dict): The checkpoint.
        runner (Runner): The runner that resumes.

    Returns:
        list[Change]: None or one.
    """
    now = len(runner.train_dataloader)
    before = (checkpoint.get('run_state') or {}).get('epoch_length', now)
    return [] if before == now else [Change(LENGTH, before, now)]


def check(checkpoint: Dict[str, Any], runner: Runner) -> None:
    """Refuse to resume if the batches would be different.

    The number of processes may change if the global batch size stays.

    Args:
        checkpoint (dict): Has the 'run_state' of :func:`collect`.
        runner (Runner): The runner that resumes.

    Raises:
        ValueError: The global batch changed, or in the middle of an epoch
            the length of the epoch or the list of pictures.
    """
    state = checkpoint['run_state']
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
    way = ('bring the data set back, or resume with --resume-changes apply '
           'from a checkpoint of the end of an epoch')
    if state['batches_done'] and len(loader) != state['epoch_length']:
        raise ValueError(
            f'the checkpoint is from the middle of an epoch of '
            f'{state["epoch_length"]} batches, and the data set now makes '
            f'{len(loader)}; {way}')
    changes = data_changes(checkpoint, runner)
    if changes and inside_epoch(checkpoint):
        raise UsageError(
            f'the checkpoint is from the middle of an epoch, and the order of '
            f'the rest would be another: {changes[0]}; {way}')


def restore_seed(checkpoint: Dict[str, Any], runner: Runner) -> None:
    """Use the seeds of the run that made the checkpoint.

    This includes a seed that was drawn because the config set none.

    Args:
        checkpoint (dict): Has the 'run_state' of :func:`collect`.
        runner (Runner): The runner that resumes. Its loader is changed.
    """
    loader, seed = runner.train_dataloader, checkpoint['meta'].get('seed')
    sampler_seed = checkpoint['run_state'].get('sampler_seed')
    if sampler_seed is not None:
        loader.sampler.seed = sampler_seed
    init = loader.worker_init_fn
    if seed is not None and isinstance(init, partial) and \
            'seed' in init.keywords:
        if runner._randomness_cfg.get('diff_rank_seed'):
            seed += get_rank()
        loader.worker_init_fn = partial(init.func, *init.args, **{
            **init.keywords, 'seed': seed
        })


def own_rng(states: List[dict]) -> Optional[dict]:
    """State of this rank's generators.

    Args:
        states (list[dict]): States of the ranks that made the checkpoint.

    Returns:
        dict | None: None on a rank that did not exist then. Its generators
        stay as the run's seed set them.
    """
    return states[get_rank()] if get_rank() < len(states) else None
