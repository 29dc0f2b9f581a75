import os
import signal
import threading
from collections import deque
from functools import partial
from types import FrameType
from typing import Any, Deque, Dict, Optional, Sequence, Set

import torch
from mmengine.dist import all_reduce, barrier, get_comm_device, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop, Runner

from caco_ext.utils.async_scalars import AsyncScalars, all_are_wanted
from caco_ext.utils.files import was_stopped
from caco_ext.utils.loaders import obey_parent_only
from .checkpoint_hook import ResumableCheckpointHook, at_step

# The signals that runs of this process handle. They must end a forked child,
# such as a worker of an evaluation's pool; else the pool waits for it forever.
# Python loses a signal that reaches a child before it is set up. So signals
# are blocked until the child has default handlers.
_heard: Set[int] = set()


def _hold() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _heard)


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _heard)


def _forget() -> None:
    for number in _heard:
        signal.signal(number, signal.SIG_DFL)
    _release()
    _heard.clear()


os.register_at_fork(
    before=_hold, after_in_parent=_release, after_in_child=_forget)


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Save and exit when the job is told to end; resume at the next start.

    The iteration is finished first; with gradient accumulation the step, and
    an evaluation if one is running. Then all ranks save ``stopped.pth``
    together, whether one of them got the signal or all did. The process ends
    with the status 128 + signal, so no script takes the run for finished. The
    fill of a bank stops in the same way. The next start of the same command
    resumes from that file by itself.

    Several ranks tell each other in each iteration whether a signal came,
    with the job's own backend and within its time limit. They read it one
    iteration later, so that none waits for its device. They read it at once
    where the log or a checkpoint is written, and at the end of an epoch.

    Args:
        signals (Sequence[str]): Names of the signals. Defaults to SIGTERM,
            which slurm, spot machines and ``kill`` send, and SIGUSR1, which
            ``sbatch --signal`` sends.
        auto_resume (bool): Resume from ``stopped.pth`` in the work folder
            without ``--resume``. Defaults to True.

    Raises:
        ValueError: There is no such signal.
    """

    # After the checkpoint.
    priority = 'LOWEST'
    changes_numbers = False

    def __init__(self,
                 signals: Sequence[str] = ('SIGTERM', 'SIGUSR1'),
                 auto_resume: bool = True) -> None:
        for name in signals:
            if not hasattr(signal, str(name)):
                raise ValueError(
                    f'signals={tuple(signals)} of PreemptionHook: '
                    f'there is no signal {name!r}')
        self.numbers = [int(getattr(signal, name)) for name in signals]
        self.auto_resume = auto_resume
        self._received = 0
        self._before: Dict[int, Any] = {}
        # What the ranks told each other and have not read yet.
        self._told: Deque[AsyncScalars] = deque()

    def before_run(self, runner: Runner) -> None:
        """Listen; find out whether the last run was stopped."""
        if not isinstance(runner._train_loop, BaseLoop):
            return  # a test; asking for the property would build the loop
        if threading.current_thread() is threading.main_thread():
            for number in self.numbers:
                self._before[number] = signal.signal(number, self._note)
                _heard.add(number)
        if self.auto_resume and not runner._resume and was_stopped(
                runner.work_dir):
            runner.logger.warning(
                f'the run in {runner.work_dir} was stopped by a signal '
                'and goes on; to start anew use another --work-dir or '
                'remove last_checkpoint from it')
            runner._resume, runner._load_from = True, None

    def before_train(self, runner: Runner) -> None:
        """Shield the loader's workers from the signal."""
        loader = runner.train_dataloader
        loader.worker_init_fn = partial(obey_parent_only, self.numbers,
                                        loader.worker_init_fn)

    def _note(self, number: int, frame: Optional[FrameType]) -> None:
        self._received = number

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Optional[dict] = None,
                         outputs: Optional[dict] = None) -> None:
        """Stop if any rank was told to."""
        leave = not all_are_wanted(runner, batch_idx)
        self._stop_if_told(runner, batch_idx + 1, runner.iter + 1, leave)

    def after_fill_iter(self, runner: Runner) -> None:
        """Stop during the bank's fill; see :class:`BankFillHook`."""
        self._stop_if_told(runner, 0, runner.iter, leave=0)

    def _stop_if_told(self, runner: Runner, batches_done: int, iterations: int,
                      leave: int) -> None:
        number = self._highest_of_all_ranks(leave)
        if not number or not at_step(runner):
            return
        name = signal.Signals(number).name
        hook = next(
            (h
             for h in runner.hooks if isinstance(h, ResumableCheckpointHook)),
            None)
        if hook is None:
            runner.logger.error(
                f'{name}: no ResumableCheckpointHook, so nothing '
                'is saved')
        elif hook.save_now(runner, batches_done, iterations):
            runner.logger.warning(
                f'{name}: saved {hook.last_ckpt} after iteration '
                f'{iterations}; the same command goes on from there')
        else:
            runner.logger.error(
                f'{name}: nothing could be saved; --resume goes on from '
                f'{hook.last_ckpt}')
        # If another rank ended, torchrun would kill rank 0 while it writes.
        barrier()
        self._restore()
        raise SystemExit(128 + number)

    def _highest_of_all_ranks(self, leave: int) -> int:
        """The largest signal of all ranks, but for the last ``leave`` times
        that they told each other."""
        if get_world_size() == 1:
            return self._received
        # Filled on the device: a copy of a number would wait for it.
        number = torch.full((1, ), self._received, device=get_comm_device())
        all_reduce(number, 'max')
        self._told.append(AsyncScalars(number))
        largest = 0
        while len(self._told) > leave:
            largest = max(largest, *map(int, self._told.popleft().read()))
        return largest

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
            _heard.discard(number)
        self._before = {}
        self._told.clear()

    def after_run(self, runner: Runner) -> None:
        """Stop listening."""
        self._restore()
