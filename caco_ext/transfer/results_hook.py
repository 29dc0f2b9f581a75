"""A hook that writes ``results.json`` beside the logs of a run."""
import os.path as osp
from math import isnan
from numbers import Real
from typing import Any, Dict, List, Optional

from mmengine.dist import get_world_size, master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, Runner

from .pretrained_hook import INFO
from .results import FILE, read_results, write_results


@HOOKS.register_module()
class ResultsHook(Hook):
    """Write the metrics of every evaluation to ``work_dir/results.json``.

    The file has the latest metrics, the best ones with their step, and the
    history of all. It also names the checkpoint with its hash and matched
    keys, the seed, the number of processes and the versions. A resumed run
    continues the history.

    Args:
        task (str): Name of the task, such as 'detection_coco'.
        protocol (str): How it is measured, in one line.
    """

    priority = 'LOW'

    def __init__(self, task: str, protocol: str) -> None:
        self.task = task
        self.protocol = protocol
        self.history: List[Dict[str, Any]] = []

    def before_train(self, runner: Runner) -> None:
        """Read the history of a resumed run."""
        path = osp.join(runner.work_dir, FILE)
        if runner._resume and runner._has_loaded and osp.isfile(path):
            self.history = [
                entry for entry in read_results(path).get('history', [])
                if entry['iter'] <= runner.iter
            ]

    @master_only
    def after_val_epoch(self,
                        runner: Runner,
                        metrics: Optional[Dict[str, float]] = None) -> None:
        """Write the metrics of a validation."""
        numbers = {
            name: float(value)
            for name, value in (metrics or {}).items()
            if isinstance(value, Real)  # numpy's numbers too
        }
        entry = dict(iter=runner.iter, metrics=numbers)
        if isinstance(runner._train_loop, EpochBasedTrainLoop):
            entry['epoch'] = runner.epoch
        self.history.append(entry)
        hub = runner.message_hub
        write_results(
            runner.work_dir,
            self.task,
            self.protocol,
            numbers,
            hub.get_info(INFO) if INFO in hub.runtime_info else None,
            best=best_of(self.history),
            history=self.history,
            config=runner.cfg.filename,
            seed=runner.seed,
            processes=get_world_size())

    # A separate test run writes its metrics in the same way.
    after_test_epoch = after_val_epoch


def best_of(history: List[Dict[str, Any]]) -> Dict[str, Dict[str, Any]]:
    """The largest value of every metric, and when it was reached.

    Args:
        history (list[dict]): Entries with 'iter' and 'metrics'.

    Returns:
        dict[str, dict]: 'value' and 'iter' by metric; of equal values the
        first. A metric that is never a number is left out.
    """
    best: Dict[str, Dict[str, Any]] = {}
    for entry in history:
        for name, value in entry['metrics'].items():
            # Without ground truth an AP is -1 or NaN.
            if isnan(value):
                continue
            if name not in best or value > best[name]['value']:
                best[name] = dict(value=value, iter=entry['iter'])
    return best
