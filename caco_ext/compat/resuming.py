# Licensed under the Apache License, Version 2.0.
"""Write complete checkpoints, find them, and resume inside an epoch."""
import copy
import logging
import os
import os.path as osp
from contextlib import ExitStack
from itertools import islice
from typing import Any, Callable, List, Optional, Tuple, Union

from mmengine.config import Config, ConfigDict
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

from caco_ext.utils import UsageError, run_config
from caco_ext.utils.files import is_whole, resumable, write_whole
from caco_ext.utils.loaders import remaining_batches
from caco_ext.utils.old_names import with_present_names
from caco_ext.utils.patching import replaces
from caco_ext.utils.run_lock import hold
from .versions import Outcome

ConfigType = Union[Config, ConfigDict, dict]


def write_files_whole() -> Outcome:
    """Let mmengine write files under a temporary name.

    What breaks: mmengine 0.10 opens a checkpoint for writing under its own
    name. If the run is killed meanwhile or the disk is full, half a file
    replaces the old one, and ``--resume`` fails.

    Remedy: write to another name, force it to the disk, then rename. This
    applies to everything that is written through a local file backend.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.fileio import LocalBackend

    @replaces(LocalBackend, 'put')
    def put_whole(put: Callable, self: LocalBackend, obj: bytes,
                  filepath: str) -> None:
        os.makedirs(osp.dirname(osp.abspath(filepath)), exist_ok=True)
        if osp.exists(filepath) and not osp.isfile(filepath):
            put(self, obj, filepath)  # a device or pipe cannot be renamed
        else:
            write_whole(filepath, obj)

    return True, 'mmengine writes checkpoints in place'


def find_whole_checkpoint() -> Outcome:
    """Let ``--resume`` find the newest checkpoint that is whole.

    What breaks: mmengine 0.10 resumes from the file that ``last_checkpoint``
    names, even if it is damaged or missing. Without that note it starts a new
    run and overwrites the existing checkpoints.

    Remedy: check that the file is whole; otherwise take the newest one of the
    folder that is, with a warning. Where there are checkpoints but none is
    whole, stop. Rank 0 decides for all.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.runner import checkpoint, runner

    @replaces(checkpoint, 'find_latest_checkpoint')
    def find_whole(_: Callable, path: str) -> Optional[str]:
        answer: List[Any] = [None, None]
        if is_main_process():
            answer = list(_newest_whole(path))
        broadcast_object_list(answer)
        found, damaged = answer
        if damaged and found is None:
            raise RuntimeError(
                f'no checkpoint in {path!r} can be resumed from: '
                f'{", ".join(damaged)} are damaged or missing; move them away '
                'to start anew, or name another one with --resume')
        return found

    runner.find_latest_checkpoint = checkpoint.find_latest_checkpoint
    return True, 'mmengine resumes from whatever last_checkpoint names'


def _newest_whole(path: str) -> Tuple[Optional[str], List[str]]:
    """The checkpoint to resume from, and the newer ones that are damaged."""
    damaged: List[str] = []
    for candidate in resumable(path):
        # A folder is a checkpoint of DeepSpeed.
        if osp.isdir(candidate) or is_whole(candidate):
            if damaged:
                print_log(
                    f'{", ".join(damaged)} cannot be read; going on from '
                    f'{candidate}, the newest whole checkpoint',
                    'current',
                    level=logging.WARNING)
            return candidate, damaged
        damaged.append(candidate)
    return None, damaged


def resume_inside_epoch() -> Outcome:
    """Resume an epoch where it was interrupted.

    What breaks: mmengine 0.10 restarts the epoch when it resumes from a
    checkpoint inside one (``by_epoch=False``). Pictures are seen twice, and
    the count of iterations no longer fits the epochs.

    Remedy: the loop leaves out as many batches as its attribute
    ``batches_done`` says. The code that loads the checkpoint sets it; without
    it nothing changes.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.runner import EpochBasedTrainLoop

    @replaces(EpochBasedTrainLoop, 'run_epoch')
    def run_rest(_: Callable, self: EpochBasedTrainLoop) -> None:
        done = self.batches_done
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        batches = remaining_batches(self.dataloader, done)
        for idx, batch in enumerate(
                islice(batches, self.iterations_left), done):
            self.run_iter(idx, batch)
        self.batches_done = 0
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    EpochBasedTrainLoop.batches_done = 0
    # By default only the epoch's end ends the loop.
    EpochBasedTrainLoop.iterations_left = None
    return True, 'mmengine starts the epoch anew'


def outlast_full_disks() -> Outcome:
    """Let a run go on while its scalars cannot be written.

    What breaks: mmengine 0.10 ends the run if a line of scalars cannot be
    written (``OSError``). So a disk that is full for a minute loses all work
    since the last checkpoint.

    Remedy: warn once, leave the lines out, and continue as soon as they can
    be written. The log itself does so already.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.visualization import LocalVisBackend, TensorboardVisBackend
    for backend in (LocalVisBackend, TensorboardVisBackend):
        for name in ('add_scalars', 'close'):
            replaces(backend, name)(_write_or_log)
    return True, 'a full disk ends a run of mmengine with the next log line'


def _write_or_log(method: Callable, backend: Any, *args: Any,
                  **kwargs: Any) -> None:
    """Call a method of a visual back end; log its ``OSError`` once."""
    try:
        method(backend, *args, **kwargs)
        backend.lost = False
    except OSError as error:
        if not getattr(backend, 'lost', False):
            print_log(
                f'{type(backend).__name__} cannot write to '
                f'{backend._save_dir}: {error}; the run goes on without these '
                'lines',
                'current',
                level=logging.ERROR)
        backend.lost = True
        # TensorBoard's writer is broken; the next call makes a new one.
        backend._env_initialized = False


def train_alone() -> Outcome:
    """Let one run at a time train in a work folder.

    What breaks: two runs of mmengine 0.10 in one folder overwrite each other's
    checkpoints and both end with success.

    Remedy: the main process holds a lock of the folder while it trains, see
    :mod:`caco_ext.utils.run_lock`; a second run ends with the number of the
    first one's process.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.runner import Runner

    @replaces(Runner, 'train')
    def train_locked(train: Callable, self: Runner) -> Any:
        refusal: List[Optional[str]] = [None]
        with ExitStack() as stack:
            if is_main_process():
                try:
                    stack.enter_context(hold(self.work_dir))
                except UsageError as error:
                    refusal = [str(error)]
            broadcast_object_list(refusal)
            if refusal[0] is not None:
                raise UsageError(refusal[0])
            return train(self)

    return True, 'mmengine lets two runs write into one folder'


def keep_on_resume() -> Outcome:
    """Let a resumed run keep the settings that it began with, on request.

    What breaks: mmengine 0.10 restores optimizer settings and schedules from
    the checkpoint and takes all else from the present config, whatever is
    wanted.

    Remedy: with ``resume_changes='keep'`` of the config's ``SetupCheckHook``
    the runner is built from the checkpoint's values of all that changes the
    numbers, see :mod:`caco_ext.utils.run_config`.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.runner import Runner

    @replaces(Runner, 'from_cfg')
    def build_with_kept(build: Callable, cls: type, cfg: ConfigType) -> Runner:
        hook = (cfg.get('default_hooks') or {}).get('setup_check') or {}
        if hook.get('resume_changes') != 'keep':
            return build(cls, cfg)
        cfg, changes = _kept(cfg)
        runner = build(cls, cfg)
        if changes:
            runner.logger.warning(f'--resume-changes keep: {changes}')
        return runner

    return True, 'mmengine keeps some settings of a checkpoint and drops some'


def _kept(cfg: ConfigType) -> Tuple[ConfigType, str]:
    """A config with a checkpoint's values, and a list of the changes."""
    from mmengine.runner import checkpoint, runner
    path = cfg.get('load_from')
    if not cfg.get('resume'):
        path = None
        if not run_config.goes_on_by_itself(cfg):
            return cfg, ''
    path = path or runner.find_latest_checkpoint(cfg['work_dir'])
    if path is None:
        return cfg, ''
    meta = checkpoint.CheckpointLoader.load_checkpoint(
        path, map_location='cpu').get('meta') or {}
    if not isinstance(meta.get('cfg'), str):
        return cfg, ''  # logged when the checkpoint is loaded
    cfg = copy.deepcopy(cfg if isinstance(cfg, Config) else Config(cfg))
    try:
        before = run_config.parse(with_present_names(meta['cfg']))
        changes = run_config.differences(before,
                                         run_config.parse(cfg.pretty_text))
        kept = run_config.keep(before, cfg.to_dict())
    except ValueError as error:
        raise UsageError(f'--resume-changes keep: {error}') from error
    for name in run_config.COMPARED:
        if name in kept:
            cfg[name] = kept[name]
        else:
            cfg.pop(name, None)
    return cfg, '; '.join(map(str, changes))
