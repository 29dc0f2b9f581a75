"""Draw all pictures of a run in one call."""
import os.path as osp
from typing import List, Optional

from caco_ext.evaluation import find_knn_options
from .curves import knn_chart, loss_chart
from .neighbours import find_neighbours, neighbours_gallery
from .report import write_report
from .run_features import open_features
from .run_logs import RunLog, read_run
from .static import draw_charts, draw_gallery


def _summary(log: RunLog) -> List[str]:
    """First and last loss and accuracy of a run, in lines."""
    epochs, losses = log.loss_by_epoch()
    lines = [
        f'loss: {losses[0]:.3f} in epoch {epochs[0]}, {losses[-1]:.3f} in '
        f'epoch {epochs[-1]}'
    ]
    epochs, accuracies = log.knn_by_epoch()
    if log.untrained_knn is not None:
        lines.append('kNN top-1 of the untrained network: '
                     f'{log.untrained_knn:.2f} %')
    if epochs:
        best = max(accuracies)
        lines.append(f'kNN top-1 after epoch {epochs[-1]}: '
                     f'{accuracies[-1]:.2f} % (best: {best:.2f} % after epoch '
                     f'{epochs[accuracies.index(best)]})')
    return lines


def draw_run(work_dir: str,
             checkpoint: Optional[str] = None,
             queries: int = 8,
             report: bool = False) -> List[str]:
    """Draw ``curves.png`` and ``neighbours.png`` into the folder of a run.

    A run without a KNNHook has no neighbours; a line says so.

    Args:
        work_dir (str): ``work_dir`` of the run.
        checkpoint (str, optional): Checkpoint to find neighbours with.
            Defaults to None: the last one of the run.
        queries (int): Number of test pictures to show. Defaults to 8.
        report (bool): Whether to write ``report.html`` too, from the same
            features and with maps by PCA. Defaults to False.

    Returns:
        list[str]: Lines that say what was found and which files were written.

    Raises:
        FileNotFoundError: The run lacks scalars, config or checkpoint.
        ValueError: The checkpoint is of another network.
    """
    log = read_run(work_dir)
    charts = [loss_chart([log])] + ([knn_chart([log])] if log.knn else [])
    curves = draw_charts(charts, osp.join(work_dir, 'curves.png'))
    if not (osp.isfile(checkpoint) if checkpoint else log.checkpoint):
        raise FileNotFoundError(
            f'no checkpoint {checkpoint or "in " + work_dir}; name one with '
            f'--checkpoint ({curves} was drawn)')
    if log.cfg is None:
        raise FileNotFoundError('no config.py beside the scalars of '
                                f'{work_dir} ({curves} was drawn)')
    features = open_features(log, checkpoint)
    lines = _summary(log)
    neighbours = 'none, as the run has no KNNHook'
    if find_knn_options(log.cfg) is not None:
        rows = find_neighbours(features, queries)
        shown = osp.basename(features.checkpoint or '')
        gallery = neighbours_gallery(rows,
                                     f'Nearest training pictures by {shown}')
        neighbours = draw_gallery(gallery, osp.join(work_dir,
                                                    'neighbours.png'))
        right = [one for row in rows for one in row.right]
        lines.append("neighbours of the query's class: "
                     f'{sum(right)} of {len(right)}')
    lines += [f'curves: {curves}', f'neighbours: {neighbours}']
    if report:
        path = osp.join(work_dir, 'report.html')
        lines.append(f'report: {write_report([log], [features], path)}')
    return lines
