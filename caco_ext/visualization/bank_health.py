"""How the memory of a run fares: use, norms, drift, place among features."""
from typing import Dict, List, Optional

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from caco_ext.ops.spread import effective_rank
from .bank_reading import drift_chart, read_memory, serves_positives
from .embedding import NAMES, embed
from .panels import BLUE, GREEN, GREY, Chart, Note, Panel, Series, Table
from .run_features import RunFeatures
from .run_logs import RunLog

# Columns that are drawn among the features, at most.
DRAWN = 2000
BINS = 40


def memory_panels(log: RunLog,
                  features: RunFeatures,
                  method: str = 'pca') -> List[Panel]:
    """Everything about the memory of a run.

    Args:
        log (RunLog): The run.
        features (RunFeatures): Of its checkpoint.
        method (str): See :func:`.embedding.embed`. Defaults to 'pca'.

    Returns:
        list[Panel]: Panels, or a note on why there is none.
    """
    memory = read_memory(features.content)
    if 'columns' not in memory:
        return [
            Note('The checkpoint holds no memory: neither one of this '
                 'package nor the queue of a MoCo.')
        ]
    columns = memory['columns'].float()
    return [
        memory_table(memory),
        positives_chart(memory, serves_positives(log, memory)),
        norms_chart(columns),
        *([drift_chart(log)] if 'velocity' in memory else []),
        among_features(features, columns, memory.get('positives'), method)
    ]


def memory_table(memory: Dict[str, Tensor]) -> Table:
    """Numbers of the memory.

    Args:
        memory (dict[str, Tensor]): Of :func:`read_memory`.

    Returns:
        Table: A row for each.
    """
    columns = memory['columns'].float()
    norms = columns.norm(dim=0)
    rows = [('columns', str(columns.size(1))), ('channels', str(len(columns))),
            ('norm: mean, least, largest', f'{norms.mean():.3f}, '
             f'{norms.min():.3f}, {norms.max():.3f}'),
            ('directions that the columns use (effective rank)',
             f'{float(effective_rank(F.normalize(columns.t(), dim=1))):.1f}')]
    if 'filled' in memory:
        rows.append(('filled with keys', f'{int(memory["filled"])} columns'))
    counts = memory.get('positives')
    if counts is not None and counts.any():
        used = float((counts > 0).float().mean())
        few = counts.sort(descending=True).values[:max(1, len(counts) // 100)]
        rows += [
            ('columns that were positives in the epoch of the checkpoint',
             f'{used:.1%}'),
            ('share of all positives that went to the busiest 1 % of columns',
             f'{float(few.sum() / counts.sum()):.1%}')
        ]
    return Table('The memory in numbers', ('', ''), rows)


def positives_chart(memory: Dict[str, Tensor],
                    serves: Optional[bool] = None) -> Panel:
    """How often each column was a positive, the busiest first.

    Args:
        memory (dict[str, Tensor]): Of :func:`read_memory`.
        serves (bool, optional): Of :func:`serves_positives`. Defaults to
            None: not known.

    Returns:
        Chart | Note: A note where none was counted.
    """
    counts = memory.get('positives')
    if counts is None or not counts.any():
        negatives = ('columns of this memory serve as negatives only; none is '
                     'ever a positive')
        begun = ('the counts begin anew with each epoch, and this checkpoint '
                 'has none yet')
        text = {
            False: negatives,
            True: begun,
            None: f'either {negatives}, or {begun}'
        }[serves]
        return Note(f'No positives are counted: {text}.')
    ordered = counts.sort(descending=True).values.double()
    # a point for each of 65536 columns would only make the page slow
    places = np.unique(np.linspace(0, len(ordered) - 1, 500).astype(int))
    even = float(ordered.mean())
    return Chart(
        'How often each column was a positive', 'columns, the busiest first',
        'times in the epoch of the checkpoint', [
            Series(places.tolist(), ordered[places].tolist(), 'columns'),
            Series([], [even], f'all alike: {even:.1f}', 'level', GREY)
        ])


def norms_chart(columns: Tensor) -> Chart:
    """Distribution of the columns' norms.

    Args:
        columns (Tensor): (C, K).

    Returns:
        Chart: A histogram.
    """
    norms = columns.norm(dim=0).numpy()
    middle = float(np.median(norms))
    # of a queue all are one, but for rounding
    low = min(float(norms.min()), middle * 0.99)
    high = max(float(norms.max()), middle * 1.01)
    counts, edges = np.histogram(norms, BINS, (low, high))
    centres = (edges[1:] + edges[:-1]) / 2
    return Chart('Norms of the columns', 'norm', 'columns',
                 [Series(centres.tolist(), counts.tolist(), kind='bars')])


def among_features(features: RunFeatures,
                   columns: Tensor,
                   positives: Optional[Tensor] = None,
                   method: str = 'pca') -> Panel:
    """Columns and test pictures in one projection.

    Args:
        features (RunFeatures): Of the run.
        columns (Tensor): (C, K).
        positives (Tensor, optional): How often each was a positive, (K, ).
            Defaults to None.
        method (str): See :func:`.embedding.embed`. Defaults to 'pca'.

    Returns:
        Chart | Note: A note where features and columns have no common space.
    """
    test = features.test
    queries = features.projected(test.pooled)
    if queries is None or queries.size(1) != columns.size(0):
        return Note('The columns are not in the space of the projector, so '
                    'there is no projection of both.')
    count = min(DRAWN, columns.size(1))
    chosen = torch.randperm(
        columns.size(1), generator=torch.Generator().manual_seed(0))[:count]
    keys = F.normalize(columns[:, chosen].t(), dim=1)
    points = embed(torch.cat([queries, keys]), method)
    pictures, keys = points[:len(queries)], points[len(queries):]
    series = [
        Series(
            pictures[:, 0].tolist(),
            pictures[:, 1].tolist(),
            'test pictures',
            'points',
            BLUE,
            labels=features.class_names(test.labels),
            thumbs=list(range(len(pictures))))
    ]
    kinds = [('columns', np.ones(count, bool), GREEN)]
    if positives is not None and positives.any():
        used = (positives[chosen] > 0).numpy()
        kinds = [('columns that were positives', used, GREEN),
                 ('other columns', ~used, GREY)]
    for name, members, colour in kinds:
        if members.any():
            series.append(
                Series(keys[members, 0].tolist(), keys[members, 1].tolist(),
                       name, 'points', colour))
    return Chart(
        'Memory and features',
        '',
        '',
        series,
        wide=True,
        note=f'Features behind the projector and normalised columns; '
        f'{NAMES[method]}.',
        hint='The pointer shows the picture.',
        thumbs=features.thumbs)
