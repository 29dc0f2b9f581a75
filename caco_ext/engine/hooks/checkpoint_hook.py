import os
import os.path as osp
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, Optional

import torch
from mmengine.dist import broadcast, is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from caco_ext.datasets import EpochSeededSampler
from caco_ext.utils.files import STOPPED, remove_parts, write_whole
from .. import run_state


@HOOKS.register_module()
class ResumableCheckpointHook(CheckpointHook):
    """mmengine's checkpoints, from which a run resumes exactly.

    They also hold the random generators of all ranks and the position in the
    epoch. Each is written completely before the oldest is removed. If one
    cannot be written (the disk is full), the hook logs an error and the run
    goes on. If it is the last of the run, the run ends with the error.
    While gradients accumulate, a checkpoint waits for the optimizer's step,
    because accumulated gradients are not saved.

    Args:
        *args: Arguments of :class:`mmengine.hooks.CheckpointHook`.
        **kwargs: More of them. With ``by_epoch=False`` a checkpoint is saved
            every ``interval`` iterations and can be resumed inside an epoch.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._state: Optional[Dict[str, Any]] = None
        self._rng: Optional[dict] = None
        self._waiting: Optional[int] = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Restore seed, random generators and the position in the epoch.

        Raises:
            ValueError: See :func:`run_state.check`.
        """
        state = checkpoint.get('run_state')
        if not runner._resume or state is None:
            return
        run_state.check(checkpoint, runner)
        run_state.restore_seed(checkpoint, runner)
        runner.train_loop.batches_done = state['batches_done']
        self._rng = run_state.own_rng(state['rng'])

    def before_train(self, runner: Runner) -> None:
        """Prepare the folder and restore the random generators.

        Raises:
            OSError: The folder cannot be written to.
        """
        super().before_train(runner)
        self._keep_to_folder()
        if is_main_process() and isinstance(self.file_backend, LocalBackend):
            self._try_folder()
            remove_parts(self.out_dir)
        # A loader draws from the training's generator each time it starts
        # workers, which happens more often in a resumed run.
        loader = runner.train_dataloader
        # Done now: after a signal there is little time to save.
        run_state.describe(loader.dataset)
        loader.generator = torch.Generator().manual_seed(0)
        if isinstance(loader.sampler, EpochSeededSampler):
            # With it, any number of processes sees the same global batches.
            loader.sampler.batch_size = loader.batch_size
        if self._rng is not None:
            run_state.set_rng_state(self._rng)
            self._rng = None

    def _keep_to_folder(self) -> None:
        """Point the path of the best checkpoint into this folder.

        A better checkpoint replaces the best one. A run that was resumed in a
        new folder must not remove that of the run it comes from.
        """

        def here(path: str) -> str:
            return path and osp.join(self.out_dir, osp.basename(path))

        best = getattr(self, 'best_ckpt_path', None)
        if best:
            self.best_ckpt_path = here(best)
        named = getattr(self, 'best_ckpt_path_dict', {})
        named.update({key: here(path) for key, path in named.items()})

    def _try_folder(self) -> None:
        trial = osp.join(self.out_dir, '.trial.pth')
        try:
            os.makedirs(self.out_dir, exist_ok=True)
            write_whole(trial, b'0')
            os.unlink(trial)
        except OSError as error:
            raise OSError(
                error.errno,
                f'{error.strerror}: checkpoints could not be written to '
                f'{self.out_dir!r}; make room there, or name another folder '
                'with --work-dir or default_hooks.checkpoint.out_dir'
            ) from error

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add seed, random generators and the position in the epoch."""
        if self._state is not None:
            checkpoint['run_state'] = self._state

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Optional[dict] = None,
                         outputs: Optional[dict] = None) -> None:
        """Save if it is time, or if a checkpoint waits for this step."""
        self._batches_done = batch_idx + 1
        if not self.by_epoch and (self.every_n_train_iters(
                runner, self.interval, self.save_begin) or
                                  (self.save_last
                                   and self.is_last_train_iter(runner))):
            self._waiting = runner.iter + 1
        if self._waiting is not None and at_step(runner):
            step, self._waiting = self._waiting, None
            meta = dict(epoch=runner.epoch, iter=runner.iter + 1)
            self._save_checkpoint_with_step(runner, step, meta)

    def is_last_train_epoch(self, runner: Runner) -> bool:
        """Also true if another hook has just ended the training early."""
        return super().is_last_train_epoch(runner) or getattr(
            runner.train_loop, 'stop_training', False)

    def after_train_epoch(self, runner: Runner) -> None:
        """Save if it is time, or let the checkpoint wait for the step."""
        self._batches_done = getattr(runner.train_loop, 'batches_cut', 0)
        if not at_step(runner) and self.by_epoch:
            if self.every_n_epochs(runner, self.interval, self.save_begin):
                self._waiting = runner.epoch + 1
            return
        super().after_train_epoch(runner)

    def save_now(self, runner: Runner, batches_done: int,
                 iterations: int) -> bool:
        """Save ``stopped.pth`` at once. All ranks must call this.

        Args:
            runner (Runner): The runner of the training.
            batches_done (int): Batches trained in the present epoch.
            iterations (int): Iterations trained in the run.

        Returns:
            bool: Whether it could be written.
        """
        meta = dict(epoch=runner.epoch, iter=iterations)
        self._batches_done = batches_done
        return self._save_as(runner, STOPPED, meta)

    def _save_checkpoint_with_step(self, runner: Runner, step: int,
                                   meta: dict) -> None:
        if self._batches_done and self.by_epoch:
            # The end of the run cut this epoch off.
            meta['epoch'] = runner.epoch
        name = self.filename_tmpl.format(step)
        old, kept = [], []
        if self.max_keep_ckpts > 0:
            kept = [i for i in self.keep_ckpt_ids if i != step] + [step]
            old, kept = kept[:-self.max_keep_ckpts], kept[-self.
                                                          max_keep_ckpts:]
            runner.message_hub.update_info('keep_ckpt_ids', kept)
        if not self._save_as(runner, name, meta):
            if meta['iter'] >= runner.max_iters:
                raise RuntimeError(
                    f'the last checkpoint of the run, {name}, cannot be '
                    f'written to {self.out_dir}; the log has the reason. '
                    'Make room and go on with --resume')
            return
        if self.max_keep_ckpts > 0:
            self.keep_ckpt_ids.clear()
            self.keep_ckpt_ids.extend(kept)
        if is_main_process():
            names = [self.filename_tmpl.format(one) for one in old]
            for path in (osp.join(self.out_dir, one)
                         for one in (*names, STOPPED)):
                if osp.isfile(path):
                    os.unlink(path)

    def _save_as(self, runner: Runner, name: str, meta: dict) -> bool:
        """Write a checkpoint, then ``last_checkpoint``, which names it."""
        last = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', last)
        self._state = run_state.collect(runner, self._batches_done)
        try:
            with self._tolerant(runner) as written:
                runner.save_checkpoint(
                    self.out_dir,
                    name,
                    self.file_client_args,
                    save_optimizer=self.save_optimizer,
                    save_param_scheduler=self.save_param_scheduler,
                    meta=meta,
                    by_epoch=self.by_epoch,
                    backend_args=self.backend_args,
                    **self.args)
                if is_main_process() and written():
                    self._note(runner, last)
        finally:
            self._state = None
        good = torch.tensor(int(written()))
        broadcast(good)
        if good:
            self.last_ckpt = last
        return bool(good)

    @staticmethod
    def _note(runner: Runner, last: str) -> None:
        try:
            write_whole(osp.join(runner.work_dir, 'last_checkpoint'), last)
        except OSError as error:
            # The checkpoint itself is there, and --resume finds it.
            runner.logger.error(f'last_checkpoint cannot be written: {error}')

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        with self._tolerant(runner):
            super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _tolerant(self, runner: Runner) -> Iterator[Callable[[], bool]]:
        """Inside, a failure to write a checkpoint is logged and not raised.

        Yields a function that says whether all could be written.
        """
        save, failures = runner.save_checkpoint, []

        def save_or_say(out_dir: str, filename: str, *args: Any,
                        **kwargs: Any) -> None:
            try:
                save(out_dir, filename, *args, **kwargs)
            except OSError as error:
                failures.append(error)
                runner.logger.error(
                    f'{osp.join(out_dir, filename)} cannot be written: '
                    f'{error}; the checkpoint to resume from is still '
                    f'{self.last_ckpt}')

        runner.save_checkpoint = save_or_say
        try:
            yield lambda: not failures
        finally:
            # Not `del`: another hook may have replaced the method before.
            runner.save_checkpoint = save


def at_step(runner: Runner) -> bool:
    """Whether the optimizer has just made or skipped its step.

    Args:
        runner (Runner): The runner of the training.

    Returns:
        bool: False while gradients accumulate.
    """
    return runner.optim_wrapper.should_update()
