"""The report of one or several runs, from the files that they left."""
import os
import os.path as osp
from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np

from .attention_gallery import look
from .bank_health import memory_panels
from .curves import labels, scalar_charts
from .embedding import embedding_chart
from .markdown import write_markdown
from .neighbours import find_neighbours, neighbours_gallery
from .panels import Note, Panel, Section, Table
from .provenance import NO_CONFIG, config_panels, record_panels, results_panel
from .run_features import RunFeatures, choose_queries
from .run_logs import RunLog
from .views import make_views, views_gallery

FORMATS = ('html', 'md')
PICTURES = 8


def _progress(log: RunLog) -> str:
    """As '15 of 15 epochs' or '3.4 of 15 epochs, unfinished'."""
    # the last iterations of an epoch are not always logged
    done = max(log.train[-1]['iter'] / log.epoch_length,
               *log.knn_by_epoch()[0], *log.checkpoints(), 0)
    train_cfg = (log.cfg or {}).get('train_cfg') or {}
    total = train_cfg.get('max_epochs')
    if not total:
        return f'{done:.3g} epochs'
    text = f'{done:.3g} of {total} epochs'
    return text if done >= total else text + ', unfinished'


def _made_from(log: RunLog, features: RunFeatures) -> str:
    """As 'epoch_6.pth, after 6 epochs'; '' without a checkpoint."""
    if features.checkpoint is None:
        return ''
    text = osp.basename(features.checkpoint)
    try:
        iteration = features.content.get('meta', {}).get('iter')
    except (ValueError, FileNotFoundError):
        return text
    if iteration is None:
        return text
    epochs = round(iteration / log.epoch_length, 2)
    return f'{text}, after {epochs:g} epoch{"" if epochs == 1 else "s"}'


def _overview(logs: Sequence[RunLog], features: Sequence[RunFeatures],
              names: Sequence[str]) -> Table:
    """The most important numbers, in a row for each run."""
    rows = []
    for log, shown, name in zip(logs, features, names):
        _, losses = log.loss_by_epoch()
        epochs, accuracies = log.knn_by_epoch()
        speeds = log.scalar('images_per_second')[1]
        knn = ['', '', '']
        if accuracies:
            last, best = len(epochs) - 1, int(np.argmax(accuracies))
            knn[1:] = [
                f'{accuracies[i]:.2f} % (epoch {epochs[i]})'
                for i in (last, best)
            ]
        if log.untrained_knn is not None:
            knn[0] = f'{log.untrained_knn:.2f} %'
        speed = f'{sorted(speeds)[len(speeds) // 2]:.1f}' if speeds else ''
        rows.append(
            (name, _progress(log), f'{losses[0]:.3f} to {losses[-1]:.3f}',
             *knn, speed, _made_from(log, shown) or 'none'))
    return Table('', ('run', 'progress', 'loss', 'kNN untrained', 'kNN last',
                      'kNN best', 'images/s (median)', 'checkpoint shown'),
                 rows)


def _or_note(make: Callable[[], Sequence[Panel]]) -> List[Panel]:
    """Make panels. Where they cannot be made, a note says why."""
    try:
        return [*make()]
    except (ValueError, FileNotFoundError, ImportError) as error:
        return [Note(f'Not shown: {error}')]
    except Exception as error:  # the other panels must not be lost
        return [Note(f'Not shown: {type(error).__name__}: {error}')]


def _run_sections(log: RunLog, features: RunFeatures, method: str,
                  base: Optional[str],
                  results: Sequence[str]) -> List[Section]:
    """All sections about one run but its curves."""

    def pictures() -> List[Panel]:
        test = features.test
        chosen = choose_queries(test.labels, PICTURES)
        return [look(features.model, [test.picture(i) for i in chosen])]

    def views() -> List[Panel]:
        seed = (features.cfg.get('randomness') or {}).get('seed') or 0
        return [views_gallery(make_views(features.cfg, PICTURES, seed))]

    parts: List[Tuple[str, Callable[[], Sequence[Panel]]]] = [
        ('Neighbours',
         lambda: [neighbours_gallery(find_neighbours(features, PICTURES))]),
        ('Embedding', lambda: [embedding_chart(features, method)]),
        ('Memory', lambda: memory_panels(log, features, method)),
        ('Where it looks', pictures),
        ('Views', views),
    ]
    sections = []
    for title, make in parts:
        if features.cfg is None:
            panels: List[Panel] = [Note(NO_CONFIG)]
        elif title == 'Views':
            panels = _or_note(make)
        elif features.checkpoint is None:
            panels = [Note('The run has saved no checkpoint yet.')]
        else:
            note = Note(f'Made from {_made_from(log, features)}.')
            panels = [note, *_or_note(make)]
        sections.append(Section(title, panels))
    folders = [log.work_dir, *results]
    return [
        *sections,
        Section('Downstream', _or_note(lambda: [results_panel(folders)])),
        Section('Config', _or_note(lambda: config_panels(log, base))),
        Section('Versions and machine', record_panels(log))
    ]


def write_report(logs: Sequence[RunLog],
                 features: Sequence[RunFeatures],
                 path: str,
                 form: str = 'html',
                 method: str = 'pca',
                 base: Optional[str] = None,
                 results: Optional[Sequence[str]] = None) -> str:
    """Write the report of one run or several.

    Args:
        logs (Sequence[RunLog]): The runs.
        features (Sequence[RunFeatures]): One for each.
        path (str): The file to write.
        form (str): 'html' for one file that needs no network, or 'md' for
            Markdown and a folder of PNG files. Defaults to 'html'.
        method (str): How features come to two dimensions: 'pca', 'tsne' or
            'umap'. Defaults to 'pca', the fastest.
        base (str, optional): Config to compare with. Defaults to None: see
            :func:`.provenance.find_base`.
        results (Sequence[str], optional): More folders with results of
            benchmarks. Defaults to None.

    Returns:
        str: ``path``.

    Raises:
        ValueError: There is no such format.
        ImportError: plotly, which draws the page, is not installed.
    """
    if form not in FORMATS:
        raise ValueError(f'format {form!r} of a report is unknown; use one of '
                         f'{", ".join(FORMATS)}')
    if form == 'html':  # before any work; Markdown does without plotly
        from .page import write_page
    names = [label or log.name for log, label in zip(logs, labels(logs))]
    sections = [
        Section('Overview', [_overview(logs, features, names)]),
        Section('Curves', scalar_charts(logs))
    ]
    for log, extracted, label in zip(logs, features, labels(logs)):
        if label:
            row = _overview([log], [extracted], [label])
            sections.append(Section(label, [row], chapter=True))
        sections += _run_sections(log, extracted, method, base, results or ())
    if len(logs) == 1:  # the last folder may be just 'seed_0'
        folders = osp.abspath(logs[0].work_dir).split(os.sep)
        title = f'Report of {"/".join(folders[-2:])}'
    else:
        title = f'Report of {", ".join(names)}'
    if form == 'md':
        return write_markdown(title, sections, path)
    return write_page(title, sections, path)
