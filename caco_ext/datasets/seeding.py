"""Random draws that depend only on run seed, epoch and picture."""
import random
import struct
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, Dict, Iterator, Optional, Sized

import numpy as np
import torch
from mmengine.dataset import DefaultSampler
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import get_worker_info


class SharedSeed:
    """Seeds the generators before each picture, in every worker.

    mmengine seeds each loader worker with the run's seed when the worker
    starts. So workers that are not kept alive repeat the same draws in every
    epoch, and a resumed run repeats those of its start. Here run seed and
    epoch are in memory that all workers share. For every picture, numpy,
    ``random`` and torch are seeded from (seed, epoch, stream, index). So
    draws do not repeat, and the number of workers or ranks does not matter.
    A resumed run makes the draws of an uninterrupted one.
    """

    def __init__(self) -> None:
        self.state = torch.full((3, ), -1).share_memory_()

    def __deepcopy__(self, memo: Dict[int, Any]) -> 'SharedSeed':
        other = type(self)()
        other.state.copy_(self.state)
        return other

    def set(self, seed: int, epoch: int, stream: int = 0) -> None:
        """Set what the draws depend on.

        Args:
            seed (int): Seed of the run.
            epoch (int): Epoch, 0 or more.
            stream (int): Separates purposes within an epoch: the bank's fill
                on the data of epoch 0 uses 1. Defaults to 0.
        """
        self.state.copy_(torch.tensor([seed & 0xFFFFFFFF, epoch, stream]))

    @contextmanager
    def sample(self, idx: int) -> Iterator[None]:
        """Seed for one picture; leave the main process's state untouched.

        Args:
            idx (int): Index of the picture.

        Yields:
            None: Inside, all draws depend on (seed, epoch, stream, idx).
        """
        seed, epoch, stream = self.state.tolist()
        if epoch < 0:  # never set: the worker's own seeding holds
            yield
            return
        saved = None
        if get_worker_info() is None:
            saved = (np.random.get_state(), random.getstate(),
                     torch.get_rng_state())
        # A hash, as sums would collide and numpy's SeedSequence is slow.
        key = f'{seed} {epoch} {stream} {idx}'.encode()
        words = struct.unpack('3I', blake2b(key, digest_size=12).digest())
        np.random.seed(words[0])
        random.seed(words[1])
        # torch.manual_seed would queue a CUDA call for every picture.
        torch.default_generator.manual_seed(words[2])
        try:
            yield
        finally:
            if saved is not None:
                np.random.set_state(saved[0])
                random.setstate(saved[1])
                torch.set_rng_state(saved[2])


@DATA_SAMPLERS.register_module()
class EpochSeededSampler(DefaultSampler):
    """mmengine's default sampler that also tells the data set the epoch.

    If its ``batch_size`` is set, the global batch holds the same pictures for
    any number of ranks. Rank r gets the r-th part of it.

    Args:
        dataset (Sized): A data set with ``set_epoch(seed, epoch, stream)``,
            such as :class:`ImageFolder`.
        **kwargs: ``shuffle``, ``seed`` and ``round_up`` of
            :class:`mmengine.dataset.DefaultSampler`.

    Raises:
        TypeError: If the data set cannot be told the epoch.
    """

    rank: int
    world_size: int

    def __init__(self, dataset: Sized, **kwargs: Any) -> None:
        if not hasattr(dataset, 'set_epoch'):
            raise TypeError(
                f'EpochSeededSampler needs a data set with set_epoch, such as '
                f'ImageFolder, got {type(dataset).__name__}; use '
                "sampler=dict(type='DefaultSampler', shuffle=True) with "
                'persistent_workers=True instead')
        super().__init__(dataset, **kwargs)
        self.batch_size: Optional[int] = None
        self.set_epoch(0)

    def __iter__(self) -> Iterator[int]:
        """Iterate over the indices of this rank."""
        if self.world_size == 1 or not self.batch_size:
            return super().__iter__()
        rank, ranks = self.rank, self.world_size
        self.rank, self.world_size = 0, 1
        try:
            order = list(super().__iter__())
        finally:
            self.rank, self.world_size = rank, ranks
        share, whole = self.batch_size, self.batch_size * ranks
        end = len(order) // whole * whole
        own = [
            order[i] for start in range(rank * share, end, whole)
            for i in range(start, start + share)
        ]
        # The rest does not fill a global batch.
        return iter(own + order[end + rank::ranks])

    def set_epoch(self, epoch: int, stream: int = 0) -> None:
        """Set the order of the epoch and the draws made in it.

        Args:
            epoch (int): Epoch.
            stream (int): See :meth:`SharedSeed.set`. Defaults to 0.
        """
        super().set_epoch(epoch)
        self.dataset.set_epoch(self.seed, epoch, stream)
