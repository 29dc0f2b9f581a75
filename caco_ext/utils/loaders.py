"""Loaders that begin inside an epoch, and workers that ignore signals."""
import os
import signal
import threading
from itertools import islice
from typing import Any, Callable, Iterator, Optional, Sequence, Set

from torch.utils.data import BatchSampler, DataLoader, Sampler


class _Tail(Sampler):
    """A sampler without its first samples.

    Args:
        sampler (Sampler): The complete sampler.
        start (int): How many samples to leave out.
    """

    def __init__(self, sampler: Any, start: int) -> None:
        self.sampler, self.start = sampler, start

    def __iter__(self) -> Iterator[int]:
        return islice(self.sampler, self.start, None)

    def __len__(self) -> int:
        # The length of an epoch does not change.
        return len(self.sampler)


def remaining_batches(loader: DataLoader, done: int) -> Iterator[Any]:
    """Iterate over an epoch without its first batches.

    Args:
        loader (DataLoader): Loader of the training. If it has torch's own
            batch sampler, nothing is read for the batches left out.
        done (int): How many batches to leave out.

    Yields:
        Any: A batch.
    """
    batches = loader.batch_sampler
    if not done:
        yield from loader
    elif not isinstance(batches, BatchSampler):
        yield from islice(loader, done, None)
    else:
        whole = batches.sampler
        batches.sampler = _Tail(whole, done * batches.batch_size)
        try:
            yield from loader
        finally:
            batches.sampler = whole


def obey_parent_only(numbers: Sequence[int], init: Optional[Callable[[int],
                                                                     None]],
                     worker_id: int) -> None:
    """Start a loader's worker that ignores signals to the whole job.

    Schedulers signal all processes of a job, but the main process needs its
    workers to finish its iteration. The same signal from the main process
    still ends a worker.

    Args:
        numbers (Sequence[int]): Signals that only count from the parent.
        init (Callable, optional): What else to do at the start.
        worker_id (int): Number of the worker.
    """
    # Blocked, and fetched by a thread: handlers are not told the sender.
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    threading.Thread(
        target=_end_with_parent, args=(set(numbers), ), daemon=True).start()
    if init is not None:
        init(worker_id)


def _end_with_parent(numbers: Set[int]) -> None:
    parent = os.getppid()
    while True:
        if signal.sigwaitinfo(numbers).si_pid == parent:
            os._exit(0)  # like torch's own workers: no failure
