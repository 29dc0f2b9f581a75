"""Pass the results of an evaluation to the hooks that wait for them.

mmengine's hooks get results from a validation loop. Here the evaluation is a
hook itself, and passes them on.
"""
from typing import Any, Dict, Iterator, Sequence, Tuple

from mmengine.hooks import (CheckpointHook, EarlyStoppingHook, Hook,
                            ParamSchedulerHook, RuntimeInfoHook)
from mmengine.runner import Runner

from .schedule_checks import schedulers_of

# A hook with one of these methods needs a real validation loop: it reads the
# loader, or undoes a change that it made at the loop's start.
_OF_A_LOOP = ('before_val', 'before_val_epoch', 'before_val_iter',
              'after_val_iter', 'after_val')
_OFFERED = 'offered_metrics'


class _AfterEpoch:
    """A runner for which the current epoch is finished, as in a validation.

    Args:
        runner (Runner): The runner, inside ``after_train_epoch``.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    @property
    def epoch(self) -> int:
        """int: Number of finished epochs, the current one included."""
        return self._runner.epoch + 1


def _plateau_schedulers(runner: Runner) -> list:
    """Schedulers that wait for results."""
    return [
        one for one in schedulers_of(runner)
        if getattr(one, 'need_val_args', False)
    ]


def _monitors(runner: Runner) -> Iterator[Tuple[str, str]]:
    """Options that name a result, and that name."""
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook):
            for name in hook.save_best or ():
                if name != 'auto':
                    yield 'save_best', name
        elif _waits(hook) and getattr(hook, 'monitor', None):
            yield f'monitor of {type(hook).__name__}', hook.monitor
    for one in _plateau_schedulers(runner):
        yield f'monitor of {type(one).__name__}', one.monitor


def check_monitors(runner: Runner, names: Sequence[str]) -> None:
    """Refuse an option that names a result which this run never produces.

    Args:
        runner (Runner): The runner of a training, with its schedulers built.
        names (Sequence[str]): Results of its KNNHook, empty without one. Then
            ``save_best`` may name a missing result, as a config still has it
            after its ``knn`` was removed.

    Raises:
        ValueError: Names the option, its value and the results.
    """
    for option, name in _monitors(runner):
        # A validation loop produces results of its own.
        awaited = runner._val_loop is not None and not name.startswith('knn/')
        if name in names or awaited or not (names or option != 'save_best'):
            continue
        there = f'none of the results of KNNHook: {", ".join(names)}' \
            if names else 'no result of this run, which has no KNNHook'
        raise ValueError(f'{option}={name!r} is {there}')


def offer(runner: Runner, metrics: Dict[str, float]) -> None:
    """Pass results to hooks and schedulers. All ranks must call it.

    Args:
        runner (Runner): The runner, inside ``after_train_epoch``.
        metrics (dict[str, float]): The results by name.
    """
    finished = _AfterEpoch(runner)
    before = runner.message_hub.runtime_info.get(_OFFERED, [])
    runner.message_hub.update_info(_OFFERED, [*before, metrics])
    for hook in runner.hooks:
        if isinstance(hook, ParamSchedulerHook):
            for one in _plateau_schedulers(runner):
                if one.monitor in metrics:
                    one.step(metrics)
        elif isinstance(hook, CheckpointHook):
            _offer_best(hook, finished, metrics)
        elif _waits(hook) and getattr(hook, 'monitor',
                                      None) in (None, *metrics):
            hook.after_val_epoch(finished, metrics)


def _waits(hook: Hook) -> bool:
    own = {
        name
        for name in ('after_val_epoch', *_OF_A_LOOP)
        if getattr(type(hook), name) is not getattr(Hook, name)
    }
    # RuntimeInfoHook would log the results a second time.
    return own == {'after_val_epoch'} and not isinstance(hook, RuntimeInfoHook)


def _offer_best(hook: CheckpointHook, finished: _AfterEpoch,
                metrics: Dict[str, float]) -> None:
    """Let a checkpoint hook keep the best."""
    known = all(name == 'auto' or name in metrics
                for name in hook.save_best or ())
    if not hook.save_best or not known:
        return  # this hook gets the results of a validation loop
    # To store the new best score, mmengine would rewrite the last regular
    # checkpoint under the name of this epoch. The regular checkpoint of this
    # epoch follows at once and stores the score anyway.
    last, hook.last_ckpt = hook.last_ckpt, None
    try:
        hook.after_val_epoch(finished, metrics)
    finally:
        hook.last_ckpt = last


def report(runner: Runner,
           metrics: Dict[str, float],
           epoch: int,
           note: str = '') -> None:
    """Write results wherever mmengine keeps results.

    Args:
        runner (Runner): The runner.
        metrics (dict[str, float]): The results by name, such as 'knn/top1'.
        epoch (int): Number of finished epochs.
        note (str): Ends the line of the log. Defaults to ''.
    """
    text = '  '.join(f'{name}: {v:.2f}' for name, v in metrics.items())
    runner.logger.info(f'Epoch(val) [{epoch}]  {text}  {note}'.rstrip())
    for name, value in metrics.items():
        runner.message_hub.update_scalar('val/' + name.replace('/', '_'),
                                         value)
    runner.visualizer.add_scalars(
        metrics, step=epoch, file_path=f'{runner.timestamp}.json')


def replay(runner: Runner) -> None:
    """Give ``EarlyStoppingHook`` the results from before a resumption.

    A checkpoint does not hold the hook's count, but it holds the message hub.

    Args:
        runner (Runner): The runner of a resumed training.
    """
    for metrics in runner.message_hub.runtime_info.get(_OFFERED, []):
        for hook in runner.hooks:
            if isinstance(hook, EarlyStoppingHook) and hook.monitor in metrics:
                hook.after_val_epoch(runner, metrics)
