"""Write the report and the backbone at the end of a run."""
import os.path as osp
from typing import List

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop, Runner

from caco_ext.engine.hooks.knn_hook import KNNHook


@HOOKS.register_module()
class RunReportHook(Hook):
    """Draw a finished run and extract its backbone.

    It writes ``curves.png``, ``neighbours.png``, ``report.html`` and
    ``backbone_<last checkpoint>`` to the folder of the run. The tools
    ``plot_run.py --report`` and ``extract_backbone.py`` would write the same.
    A run without a KNNHook has no neighbours. Errors are only logged, as the
    run itself is finished.

    Args:
        queries (int): Test pictures that are shown beside their neighbours.
            Defaults to 8.
        report (bool): Whether to write the report. Defaults to True.

    Raises:
        ValueError: ``queries`` is below 1.
    """

    # After the last checkpoint.
    priority = 'LOWEST'
    changes_numbers = False

    def __init__(self, queries: int = 8, report: bool = True) -> None:
        if queries < 1:
            raise ValueError(f'queries={queries} of RunReportHook must be at '
                             'least 1')
        self.queries = queries
        self.report = report
        self._knn = False

    def before_run(self, runner: Runner) -> None:
        """Check the options, so that errors come before the training."""
        if not isinstance(runner._train_loop, BaseLoop):
            return  # a test, which draws nothing
        hooks = [hook for hook in runner.hooks if isinstance(hook, KNNHook)]
        self._knn = bool(hooks)
        if hooks and not any(hook.save_features for hook in hooks):
            raise ValueError(
                'RunReportHook draws features that KNNHook keeps; '
                'set default_hooks.knn.save_features=True, or '
                'take RunReportHook out')

    @master_only
    def after_train(self, runner: Runner) -> None:
        """Draw and write."""
        try:
            lines = self._write(runner.work_dir)
        except Exception as error:  # drawing must not make the run fail
            kind = type(error).__name__
            runner.logger.error(
                f'RunReportHook: {kind}: {error}; the run is finished and its '
                'checkpoints are there. Once that is mended, plot_run.py and '
                'extract_backbone.py do it')
        else:
            runner.logger.info('\n'.join(['what the run gave', *lines]))

    def _write(self, work_dir: str) -> List[str]:
        # Imported here: only this hook needs matplotlib.
        from caco_ext.converters import extract_backbone
        from ..run_features import RunFeatures
        from ..run_logs import find_last_checkpoint
        from ..run_plots import draw_run
        checkpoint = find_last_checkpoint(work_dir)
        if checkpoint is None:
            raise FileNotFoundError(f'no checkpoint in {work_dir}')
        if self._knn and RunFeatures(None, checkpoint).of_run is None:
            # All processes would have to extract them.
            raise ValueError(f'no features of {checkpoint} beside it')
        backbone = osp.join(work_dir, f'backbone_{osp.basename(checkpoint)}')
        extract_backbone(checkpoint, backbone)
        lines = draw_run(work_dir, checkpoint, self.queries, self.report)
        return [*lines, f'backbone: {backbone}']
