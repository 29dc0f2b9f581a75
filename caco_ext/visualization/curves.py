"""Loss and kNN accuracy of a run over its epochs."""
import os

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .run_logs import RunLog

BLUE, GREEN, GREY = '#1f5fa8', '#2a8a3e', '#888888'


def save_figure(figure: Figure, path: str) -> None:
    """Save a figure under a temporary name and rename it.

    Args:
        figure (Figure): What to save, at 150 dots per inch.
        path (str): A ``.png`` file.
    """
    part = f'{path}.{os.getpid()}.part'
    # the canvas is chosen here, so no display is looked for
    FigureCanvasAgg(figure).print_figure(
        part, dpi=150, format='png', bbox_inches='tight')
    os.replace(part, path)


def _style(axes, xlabel, ylabel, title):
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_title(title, loc='left', fontsize=11)
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(alpha=0.25)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_loss(axes, log: RunLog) -> None:
    epochs, losses = log.loss_by_epoch()
    counts, rows = {}, log.train
    for row in rows:
        counts[row['epoch']] = counts.get(row['epoch'], 0) + 1
    seen, x = {}, []
    for row in rows:
        epoch = row['epoch']
        seen[epoch] = seen.get(epoch, 0) + 1
        x.append(epoch - 1 + seen[epoch] / counts[epoch])
    if len(rows) > len(epochs):
        axes.plot(
            x, [r['loss'] for r in rows],
            color=BLUE,
            alpha=0.3,
            linewidth=1,
            label='as logged')
    marker = 'o' if len(epochs) <= 50 else None
    # a mean over an epoch belongs to its middle
    axes.plot([e - 0.5 for e in epochs],
              losses,
              color=BLUE,
              marker=marker,
              markersize=4,
              label='mean of the epoch')
    axes.set_xlim(left=0)
    axes.legend(frameon=False, fontsize=9)
    _style(axes, 'epochs', 'loss', 'Training loss')


def _draw_knn(axes, log: RunLog) -> None:
    epochs, accuracies = log.knn_by_epoch()
    marker = 'o' if len(epochs) <= 50 else None
    axes.plot(
        epochs,
        accuracies,
        color=GREEN,
        marker=marker,
        markersize=4,
        label='this run')
    if epochs:
        axes.annotate(
            f'{accuracies[-1]:.1f} %', (epochs[-1], accuracies[-1]),
            xytext=(7, 0),
            textcoords='offset points',
            va='center',
            color=GREEN)
    if log.untrained_knn is not None:
        axes.axhline(
            log.untrained_knn,
            color=GREY,
            linestyle='--',
            label=f'untrained network: {log.untrained_knn:.1f} %')
    axes.margins(x=0.12, y=0.12)  # room for the number at the end
    axes.set_xlim(left=0)
    axes.legend(frameon=False, fontsize=9)
    suffix = log.knn_name.partition('_k')[2]
    title = f'kNN accuracy (k = {suffix})' if suffix else 'kNN accuracy'
    _style(axes, 'epochs', 'top-1 accuracy [%]', title)


def draw_curves(log: RunLog, path: str) -> str:
    """Draw the loss and, where it was measured, the kNN accuracy.

    Args:
        log (RunLog): From :func:`read_run`.
        path (str): The ``.png`` file to write.

    Returns:
        str: ``path``.
    """
    panels = 2 if log.knn else 1
    figure = Figure(figsize=(5 * panels, 3.6), layout='constrained')
    axes = figure.subplots(1, panels, squeeze=False)[0]
    _draw_loss(axes[0], log)
    if log.knn:
        _draw_knn(axes[1], log)
    save_figure(figure, path)
    return path
