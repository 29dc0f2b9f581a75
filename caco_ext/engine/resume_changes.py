"""Handle a resumed run whose config or data have changed."""
from typing import Any, Dict, List, Optional, Union

from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch.optim import Optimizer

from caco_ext.utils.errors import UsageError
from caco_ext.utils.old_names import with_present_names
from caco_ext.utils.run_config import Change, differences, parse
from . import run_state

MODES = ('apply', 'keep')
# These settings cannot change in a resumed run.
_ONLY_KEPT = ('optim_wrapper.optimizer.type', 'optim_wrapper.constructor',
              'randomness.', 'train_cfg.type', 'train_cfg.by_epoch')
# These decide the order of pictures in an epoch that has already begun.
_ORDER = ('train_dataloader.sampler', 'train_dataloader.batch_sampler')
# Optimizer and schedules are built from these.
_STEPS = ('optim_wrapper', 'param_scheduler', 'auto_scale_lr', 'train_cfg',
          run_state.LENGTH)


def review(runner: Runner, checkpoint: Dict[str, Any],
           mode: Optional[str]) -> None:
    """Compare config and data with those of the checkpoint.

    mmengine silently restores some settings from the checkpoint and takes
    others from the present config. Here every difference is refused, or
    applied on request.

    Args:
        runner (Runner): The runner that resumes, before it loads the
            checkpoint.
        checkpoint (dict): The checkpoint. If changes are applied, its
            optimizer settings and schedules become those that the present
            config would have reached by now.
        mode (str, optional): 'apply' uses the present values, None refuses
            them. 'keep' was applied before the runner was built, see
            :func:`caco_ext.compat.resuming.keep_on_resume`.

    Raises:
        UsageError: A setting changed without a request, or cannot change.
    """
    changes = config_changes(runner, checkpoint)
    if not run_state.inside_epoch(checkpoint):  # inside, check() refuses
        changes += run_state.data_changes(checkpoint, runner)
        changes += run_state.length_changes(checkpoint, runner)
    if not changes:
        return
    text = '; '.join(map(str, changes))
    if mode != 'apply':
        _refuse(text, mode)
    stuck = [
        one.option for one in changes if one.option.startswith(_ONLY_KEPT) or
        (one.option.startswith(_ORDER) and run_state.inside_epoch(checkpoint))
    ]
    if stuck:
        raise UsageError(
            f'{", ".join(stuck)} cannot change where the checkpoint was '
            f'made: {text}; --resume-changes keep goes on with its values, '
            'load_from with resume=False starts anew from its weights')
    if any(one.option.startswith(_STEPS) for one in changes):
        _recompute(runner, checkpoint, changes)
    runner.logger.warning(f'--resume-changes apply: {text}')


def _refuse(text: str, mode: Optional[str]) -> None:
    if mode == 'keep':  # here remain changes outside the config
        raise UsageError(f'{text}: this cannot be kept; bring it back, or use '
                         '--resume-changes apply')
    raise UsageError(
        f'the run would go on with other settings: {text}. --resume-changes '
        'apply goes on with the present ones, --resume-changes keep with '
        "those of the checkpoint (default_hooks.setup_check.resume_changes "
        'in a config)')


def config_changes(runner: Runner, checkpoint: Dict[str, Any]) -> List[Change]:
    """Settings that differ from those in a checkpoint.

    Args:
        runner (Runner): The runner that resumes.
        checkpoint (dict): The checkpoint.

    Returns:
        list[Change]: The settings. Empty, with a warning in the log, if the
        checkpoint holds no config.
    """
    try:
        before = parse(with_present_names(checkpoint['meta']['cfg']))
    except (KeyError, TypeError, ValueError):
        runner.logger.warning(
            'the checkpoint holds no config that the present one could be '
            'compared with; optimizer settings and schedules go on as in the '
            'checkpoint, all else is that of the config')
        return []
    return differences(before, parse(runner.cfg.pretty_text))


def _recompute(runner: Runner, checkpoint: Dict[str, Any],
               changes: List[Change]) -> None:
    """Set optimizer settings and schedules to the state that a run of the
    present config would have reached."""
    wrapper, stored = runner.optim_wrapper, checkpoint['optimizer']
    schedulers = runner.param_schedulers or []
    if isinstance(wrapper, OptimWrapperDict):
        raise UsageError('settings of several optimizers cannot change on '
                         'resume; use --resume-changes keep')
    for one in schedulers:
        if getattr(one, 'need_val_args', False):
            raise UsageError(
                f'{type(one).__name__} of param_scheduler follows results '
                'that are gone, so other settings cannot be applied; use '
                '--resume-changes keep')
    sizes = [[len(group['params']) for group in groups]
             for groups in (stored['param_groups'],
                            wrapper.optimizer.param_groups)]
    if sizes[0] != sizes[1]:
        raise UsageError(
            'optim_wrapper.paramwise_cfg divides the parameters otherwise '
            'than in the checkpoint; use --resume-changes keep')
    meta, length = checkpoint['meta'], len(runner.train_dataloader)
    if any(one.option == run_state.LENGTH for one in changes):
        meta['iter'] = meta['epoch'] * length
    run_schedules(wrapper, schedulers, meta['epoch'], meta['iter'], length)
    fresh = wrapper.state_dict()
    for name in ('param_groups', 'base_param_settings'):
        if name in fresh:
            stored[name] = fresh[name]
    if any(
            # A scaler that is off stores nothing that another could load.
            one.option.startswith(('optim_wrapper.loss_scale',
                                   'optim_wrapper.dtype')) for one in changes):
        stored.pop('loss_scaler', None)
    checkpoint['param_schedulers'] = [one.state_dict() for one in schedulers]


def run_schedules(optimizer: Union[OptimWrapper, Optimizer], schedulers: list,
                  epochs: int, iterations: int, length: int) -> None:
    """Step new schedulers forward as the run would have done.

    Args:
        optimizer (OptimWrapper | Optimizer): The schedulers' optimizer.
        schedulers (list): The schedulers.
        epochs (int): Epochs done.
        iterations (int): Iterations done.
        length (int): Iterations per epoch.
    """
    # Schedulers warn if the optimizer has counted no step before them.
    setattr(optimizer, '_global_step', 0)
    by_epoch = [one for one in schedulers if one.by_epoch]
    by_iter = [one for one in schedulers if not one.by_epoch]

    def iterate(count: int) -> None:
        for _ in range(count if by_iter else 0):
            for one in by_iter:
                one.step()

    for _ in range(epochs):
        iterate(length)
        for one in by_epoch:
            one.step()
    iterate(iterations - epochs * length)
