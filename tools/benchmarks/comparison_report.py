"""Table and plot of a comparison."""
import glob
import json
import os.path as osp
import statistics
from typing import Any, Dict, List

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from caco_ext.utils.files import write_whole
from caco_ext.visualization import read_run
from caco_ext.visualization.static import save_figure

# Distinct for colour-blind readers, too; line styles distinguish them in grey.
# As the two lengths have no common divisor, 33 lines look different.
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9',
           '#000000', '#7f3c8d', '#8c6d31', '#bbbb00', '#882255')
STYLES = ('-', '--', '-.')
# Rows that are no methods.
NAMES = dict(random='random network', pixels='pixels')
COLUMNS = (('knn', 'kNN [%]', 1, 1), ('probe', 'linear probe [%]', 1, 1),
           ('seconds_per_epoch', 'seconds per epoch', 1,
            1), ('peak_memory_mb', 'peak memory [GB]', 1e-3,
                 2), ('gpu_memory_mb', 'peak GPU memory [GB]', 1e-3, 2))


def read_json(path: str) -> Any:
    """Content of a file; None if there is no such file."""
    if not osp.isfile(path):
        return None
    with open(path, encoding='utf-8') as file:
        return json.load(file)


def write_json(path: str, content: Any) -> None:
    """Write a file completely or not at all."""
    write_whole(path, json.dumps(content, indent=1))


def summarise(runs: List[dict]) -> Dict[str, dict]:
    """Average the seeds of every method, the best kNN first.

    Each method has ``seeds``, and for every measure its ``mean`` and
    ``spread``, the sample standard deviation (None for one seed). For seconds
    the minimum replaces the mean, as other work on the machine only adds to
    them.
    """
    methods = {}
    for run in runs:
        methods.setdefault(run['method'], []).append(run)
    summary = {}
    for method, group in methods.items():
        summary[method] = dict(seeds=sorted(run['seed'] for run in group))
        for name, *_ in COLUMNS:
            values = [run[name] for run in group if name in run]
            if values:
                if name == 'seconds_per_epoch':
                    values = [min(values)]
                spread = statistics.stdev(values) if values[1:] else None
                summary[method][name] = dict(
                    mean=statistics.mean(values), spread=spread)
    return dict(
        sorted(summary.items(), key=lambda item: -item[1]['knn']['mean']))


def format_table(summary: Dict[str, dict], common: str) -> str:
    """The summary as Markdown, with what the runs have in common."""
    columns = [
        column for column in COLUMNS[:-1] +
        tuple(c for c in COLUMNS[-1:] if any(c[0] in row
                                             for row in summary.values()))
    ]
    lines = [
        '| method | ' + ' | '.join(c[1] for c in columns) + ' | seeds |',
        '| --- |' + ' ---: |' * len(columns) + ' ---: |'
    ]
    for method, row in summary.items():
        cells = [NAMES.get(method, method)]
        for name, _, unit, digits in columns:
            value, text = row.get(name), '–'
            if value is not None:
                text = f'{value["mean"] * unit:.{digits}f}'
                if value['spread'] is not None:
                    text += f' ± {value["spread"] * unit:.{digits}f}'
            cells.append(text)
        cells.append(', '.join(map(str, row['seeds'])))
        lines.append('| ' + ' | '.join(cells) + ' |')
    lines += [
        '', f'{common}. Mean ± standard deviation over the seeds. Accuracies '
        'are top-1, of the frozen backbone after the last epoch; seconds are '
        'the median epoch of the quickest seed, without evaluations; memory '
        'is that of the training process.'
    ]
    return '\n'.join(lines) + '\n'


def read_curves(out: str) -> Dict[str, Dict[int, List[float]]]:
    """kNN accuracies of the seeds by method and epoch, also unfinished runs.

    Epoch 0 is before the training.
    """
    curves = {}
    pattern = osp.join(glob.escape(out), '*', 'seed_*')
    for folder in sorted(glob.glob(pattern)):
        try:
            log = read_run(folder)
        except FileNotFoundError:  # nothing has been logged yet
            continue
        curve = curves.setdefault(osp.basename(osp.dirname(folder)), {})
        for epoch, row in sorted(log.knn.items()):
            if log.knn_name in row:
                curve.setdefault(epoch, []).append(row[log.knn_name])
    return {method: curve for method, curve in curves.items() if curve}


def draw_plot(curves: dict, summary: dict, common: str, path: str) -> None:
    """Draw kNN accuracy over epochs into a ``.png`` file."""
    figure = Figure(figsize=(8, 4.8), layout='constrained')
    axes = figure.subplots()
    # By name, so that colours do not depend on the ranking.
    looks = {name: i for i, name in enumerate(sorted(curves))}
    means = {
        name: [statistics.mean(curve[e]) for e in sorted(curve)]
        for name, curve in curves.items()
    }
    for name in sorted(curves, key=lambda name: -means[name][-1]):
        curve, look = curves[name], looks[name]
        epochs = sorted(curve)
        colour = COLOURS[look % len(COLOURS)]
        axes.plot(
            epochs,
            means[name],
            color=colour,
            linestyle=STYLES[look % len(STYLES)],
            linewidth=1.8,
            label=f'{name}  {means[name][-1]:.1f} %')
        axes.fill_between(
            epochs, [min(curve[e]) for e in epochs],
            [max(curve[e]) for e in epochs],
            color=colour,
            alpha=0.15,
            linewidth=0)
    for name, style in (('random', ':'), ('pixels', '-.')):
        if name in summary:
            least = summary[name]['knn']['mean']
            axes.axhline(
                least,
                color='#888888',
                linestyle=style,
                label=f'{NAMES[name]}  {least:.1f} %')
    axes.set_xlabel('epochs')
    axes.set_ylabel('kNN top-1 accuracy [%]')
    axes.set_title(
        f'{common}; mean and range of the seeds', loc='left', fontsize=10)
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            frameon=False,
            fontsize=9,
            loc='center left',
            bbox_to_anchor=(1.01, 0.5))
    save_figure(figure, path)


def describe(settings: Dict[str, Any]) -> str:
    """What the runs have in common, as part of a sentence."""
    jobs = settings.get('jobs', 1)
    return settings['common'] + (f', {jobs} runs at a time' * (jobs > 1))


def write_report(out: str) -> List[str]:
    """Write ``results.json``, ``table.md``, ``plot.png``; return the paths."""
    settings = read_json(osp.join(out, 'settings.json'))
    pattern = osp.join(glob.escape(out), '*', 'seed_*', 'result.json')
    runs = [read_json(path) for path in sorted(glob.glob(pattern))]
    summary, curves = summarise(runs), read_curves(out)
    paths = [
        osp.join(out, n) for n in ('results.json', 'table.md', 'plot.png')
    ]
    write_json(
        paths[0],
        dict(**settings, summary=summary, runs=runs, knn_by_epoch=curves))
    write_whole(paths[1], format_table(summary, describe(settings)))
    draw_plot(curves, summary, describe(settings), paths[2])
    return paths
