from typing import List

import torch
from mmengine.hooks import CheckpointHook, LoggerHook
from mmengine.runner import Runner
from torch import Tensor


class AsyncScalars:
    """A few numbers on the device that the CPU reads one iteration later.

    ``item()`` waits until the device has finished all its work, and then the
    device waits for the CPU. Here the numbers are copied asynchronously.
    :meth:`read` waits only for that copy.

    Args:
        values (Tensor): (n, ), on any device.
    """

    def __init__(self, values: Tensor) -> None:
        # torch uses pinned memory for such a copy. Other devices have no event
        # that says when it has arrived.
        self._host = values.detach().to('cpu', non_blocking=values.is_cuda)
        self._arrived = None
        if values.is_cuda:
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    @staticmethod
    def pays(device: torch.device) -> bool:
        """Whether reading later helps. On a CPU there is nothing to wait for.

        Args:
            device (torch.device): Device of the numbers.
        """
        return device.type == 'cuda'

    def read(self) -> List[float]:
        """The numbers."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._host.tolist()


def all_are_wanted(runner: Runner, batch_idx: int) -> bool:
    """Whether pending numbers must be read in this iteration.

    Args:
        runner (Runner): The runner of the training.
        batch_idx (int): Iteration in the epoch, from 0.

    Returns:
        bool: True if a hook writes to the log or a checkpoint, and at the end
        of an epoch.
    """
    if batch_idx + 1 >= len(runner.train_dataloader):
        return True
    return any(
        isinstance(hook, LoggerHook) and hook.every_n_inner_iters(
            batch_idx, hook.interval) or isinstance(hook, CheckpointHook) and
        not hook.by_epoch and hook.every_n_train_iters(runner, hook.interval)
        for hook in runner.hooks)
