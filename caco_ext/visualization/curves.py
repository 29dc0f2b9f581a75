"""Charts of what runs logged: loss, accuracy, rates, speed, memory."""
import os
import os.path as osp
from typing import Dict, List, Sequence, Tuple

from caco_ext.utils.text import printable
from .panels import BLUE, GREEN, GREY, PALETTE, Chart, Series
from .run_logs import RunLog

EPOCHS = 'epochs'
# Title, unit and logged names of charts. Each other name gets its own chart.
GROUPS: Tuple[Tuple[str, str, Tuple[str, ...]], ...] = (
    ('Learning rate of the network', '', ('lr', )),
    ('Learning rate of the bank', '', ('bank_lr', )),
    ('Average of the key encoder', 'coefficient', ('ema_momentum', )),
    ('Speed', 'images per second', ('images_per_second', )),
    ('Time of a step', 'seconds', ('time', 'data_time')),
    ('Memory of the process', 'MiB', ('memory', 'host_memory')),
    ('Probability of the positive', '', ('positive_probability', )),
    ('Spread of the features', 'standard deviation, 1 at most',
     ('feature_std', )),
    ('Directions that the features use', 'effective rank',
     ('effective_rank', )),
    ('Norm of the bank', 'mean norm of a column', ('bank_norm', )),
    ('Columns used as positives', 'share in the epoch so far',
     ('columns_used', )),
    ('Sent for the memory', 'MiB per step and process', ('memory_sent_mib', )),
    ('Gradient', 'norm', ('grad_norm', )),
)
# Names in the legend of a chart with several numbers.
READABLE = dict(
    time='whole step',
    data_time='waiting for data',
    memory='GPU',
    host_memory='host')
# Names without a chart of their own.
NO_SCALARS = ('epoch', 'iter', 'step', 'loss', 'base_lr', 'eta')


def labels(logs: Sequence[RunLog]) -> List[str]:
    """Name runs so that no two names are the same.

    Args:
        logs (Sequence[RunLog]): The runs.

    Returns:
        list[str]: '' for a single run. Several runs get the last folders of
        their paths, as many as make the names different.
    """
    if len(logs) == 1:
        return ['']
    paths = [
        printable(osp.abspath(log.work_dir)).split(os.sep) for log in logs
    ]
    for depth in range(1, max(map(len, paths)) + 1):
        names = ['/'.join(path[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    # The same folder was given twice.
    return [f'{log.name} ({i})' for i, log in enumerate(logs, 1)]


def _colour(i: int, count: int, alone: str) -> str:
    return alone if count == 1 else PALETTE[i % len(PALETTE)]


def loss_chart(logs: Sequence[RunLog]) -> Chart:
    """Show the training loss, as logged and as the mean of each epoch.

    Args:
        logs (Sequence[RunLog]): One run, or several to compare.

    Returns:
        Chart: The chart.
    """
    series = []
    for i, (log, label) in enumerate(zip(logs, labels(logs))):
        colour = _colour(i, len(logs), BLUE)
        epochs, losses = log.loss_by_epoch()
        if len(log.train) > len(epochs):
            x, y = log.scalar('loss')
            name = '' if label else 'as logged'
            series.append(Series(x, y, name, colour=colour, faint=True))
        # The mean of an epoch is drawn at its middle.
        series.append(
            Series([e - 0.5 for e in epochs],
                   losses,
                   label or "mean of the epoch's logged losses",
                   colour=colour))
    return Chart('Training loss', EPOCHS, 'loss', series)


def knn_chart(logs: Sequence[RunLog]) -> Chart:
    """Show the kNN accuracy, with that of the untrained network.

    Args:
        logs (Sequence[RunLog]): The runs. Those without kNN are left out.

    Returns:
        Chart: The chart.
    """
    series = []
    ks = sorted({log.knn_k for log in logs if log.knn and log.knn_k})
    for i, (log, label) in enumerate(zip(logs, labels(logs))):
        if not log.knn:
            continue
        epochs, accuracies = log.knn_by_epoch()
        if log.untrained_knn is not None:
            series.append(
                Series([], [log.untrained_knn],
                       f'{label} untrained network: '
                       f'{log.untrained_knn:.1f} %'.strip(),
                       'level',
                       colour=_colour(i, len(logs), GREY)))
        if epochs:
            series.append(
                Series(
                    epochs,
                    accuracies,
                    f'{label or "this run"}: {accuracies[-1]:.1f} %',
                    colour=_colour(i, len(logs), GREEN)))
    title = 'kNN accuracy'
    if ks:
        title += f' (k = {", ".join(map(str, ks))})'
    return Chart(title, EPOCHS, 'top-1 accuracy [%]', series)


def _names(logs: Sequence[RunLog]) -> Dict[str, None]:
    """Names of all logged numbers, in order."""
    return {
        name: None
        for log in logs
        for row in log.train
        for name, value in row.items()
        if name not in NO_SCALARS and isinstance(value, (int, float))
    }


def _group_chart(logs: Sequence[RunLog], title: str, unit: str,
                 names: Sequence[str]) -> Chart:
    series = []
    for i, (log, label) in enumerate(zip(logs, labels(logs))):
        for n, name in enumerate(names):
            x, y = log.scalar(name)
            if not x:
                continue
            what = READABLE.get(name, name) if len(names) > 1 else ''
            # A run has the same colour in all charts.
            series.append(
                Series(
                    x,
                    y,
                    ' '.join(filter(None, (label, what))),
                    colour=PALETTE[(i if label else n) % len(PALETTE)],
                    dashed=bool(label) and n % 2 == 1))
    # The axis is logarithmic if one curve would hide another at the bottom.
    # It is not if a single curve falls to nearly zero, as a learning rate
    # does.
    tops = [max(one.y) for one in series]
    wide = min(y for one in series for y in one.y) > 0 and \
        max(tops) > 30 * min(tops)
    return Chart(title, EPOCHS, unit, series, wide)


def scalar_charts(logs: Sequence[RunLog]) -> List[Chart]:
    """Show everything that was logged over the training.

    Args:
        logs (Sequence[RunLog]): One run, or several to compare.

    Returns:
        list[Chart]: The loss, the kNN accuracy where it was measured, a chart
        for each group of numbers, and one for each other number.
    """
    charts = [loss_chart(logs)]
    if any(log.knn for log in logs):
        charts.append(knn_chart(logs))
    left = _names(logs)
    for title, unit, members in GROUPS:
        names = [name for name in members if name in left]
        for name in names:
            del left[name]
        if names:
            charts.append(_group_chart(logs, title, unit, names))
    return charts + [_group_chart(logs, name, '', [name]) for name in left]
