"""Check that a run is as long as its schedules."""
from itertools import chain
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from mmengine.optim import (ConstantParamScheduler, LinearParamScheduler,
                            _ParamScheduler)
from mmengine.runner import Runner
from torch import nn

from caco_ext.models.utils import Schedule

_FIX = ('fit schedule (end, T_max) and train_cfg to each other, or for a '
        'trial that is to be cut off set '
        'default_hooks.setup_check.allow_cut_schedule=True')


class _Span(NamedTuple):
    """Iterations in which a scheduler is active."""
    name: str
    begin: float
    end: float
    comes_down: bool


def check_schedules(runner: Runner, model: nn.Module) -> None:
    """Refuse a run that is shorter or longer than its schedules.

    Args:
        runner (Runner): The runner, with its schedulers built.
        model (nn.Module): Its model, without a wrapper.

    Raises:
        ValueError: The run ends before the learning rate's schedule or a
            warm-up of the model does. Or it outlasts the schedule, so that
            the last learning rate stays or a cosine rises again.
    """
    iterations = runner.max_iters
    lengths = {
        True: (runner.max_epochs, 'epochs'),
        False: (iterations, 'iterations')
    }
    spans: Dict[str, List[_Span]] = {}
    for one in schedulers_of(runner):
        length, unit = lengths[one.by_epoch]
        # A scheduler without an end of its own ends with the run.
        end = getattr(one, 'end', 0)
        name = f'{type(one).__name__} of param_scheduler'
        if length < end < 2**30:
            raise ValueError(f'{name} ends after {end} {unit}, and the run '
                             f'has {length}; {_FIX}')
        period, steps = _period(one), min(end, length) - one.begin
        if period is not None and abs(period - steps) > 1:
            raise ValueError(
                f'{name} takes {period} {unit} to come down, and has '
                f'{steps}, from {one.begin} to {min(end, length)}; {_FIX}')
        scale = iterations / length if one.by_epoch else 1
        spans.setdefault(one.param_name, []).append(
            _Span(name, one.begin * scale,
                  min(end, length) * scale, _comes_down(one)))
    for of_one in spans.values():
        _check_ends(of_one, iterations)
    for name, schedule in _schedules(model):
        length, unit = lengths[schedule.by_epoch]
        if schedule.warmup > length:
            raise ValueError(
                f'{name} warms up for {schedule.warmup} {unit}, and the run '
                f'has {length}; {_FIX}')


def _schedules(module: nn.Module) -> Iterator[Tuple[str, Schedule]]:
    for prefix, part in module.named_modules():
        for name, value in vars(part).items():
            if isinstance(value, Schedule):
                yield f'model.{prefix}.{name}'.replace('..', '.'), value


def schedulers_of(runner: Runner) -> Iterator[_ParamScheduler]:
    """The schedulers of a run, whether it has one optimizer or several.

    Args:
        runner (Runner): The runner, with its schedulers built.

    Yields:
        _ParamScheduler: A scheduler of a learning rate or a momentum.
    """
    found = runner.param_schedulers or []
    yield from chain(*found.values()) if isinstance(found, dict) else found


def _period(scheduler: _ParamScheduler) -> Optional[int]:
    """Length in steps of a scheduler's decay, if it has its own."""
    if hasattr(scheduler, 'periods'):
        return sum(scheduler.periods)
    return getattr(scheduler, 'T_max', getattr(scheduler, 'total_steps', None))


def _comes_down(scheduler: _ParamScheduler) -> bool:
    """Whether a scheduler decays; False for warm-ups."""
    if isinstance(scheduler, ConstantParamScheduler):
        return False
    return not isinstance(scheduler, LinearParamScheduler) or \
        scheduler.end_factor < scheduler.start_factor


def _check_ends(spans: List[_Span], iterations: int) -> None:
    """Require another schedule or the end of the run after each decay."""
    for one in spans:
        if not one.comes_down or one.end >= iterations or any(
                other.begin <= one.end < other.end for other in spans):
            continue
        raise ValueError(
            f'{one.name} ends after {one.end:g} of the {iterations} '
            'iterations of the run, which would go on at its last value; '
            f'{_FIX}')
