"""The memory in a checkpoint: its use, norms, drift and place among features.
"""
from typing import Any, Dict, List, Optional

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from caco_ext.ops.spread import effective_rank
from caco_ext.utils.checkpoints import read_checkpoint
from .embedding import NAMES, embed
from .panels import BLUE, GREEN, GREY, Chart, Note, Panel, Series, Table
from .run_features import RunFeatures
from .run_logs import RunLog

# Largest number of columns that are drawn among the features.
MOST_COLUMNS = 2000
BINS = 40


def memory_panels(log: RunLog,
                  features: RunFeatures,
                  method: str = 'pca') -> List[Panel]:
    """Show the memory of a checkpoint.

    Args:
        log (RunLog): The run.
        features (RunFeatures): Features of the checkpoint.
        method (str): See :func:`.embedding.embed`. Defaults to 'pca'.

    Returns:
        list[Panel]: Panels, or a note if it has no memory.
    """
    memory = _read_memory(features.content)
    if 'columns' not in memory:
        return [
            Note('The checkpoint holds no memory: neither one of this '
                 'package nor the queue of a MoCo.')
        ]
    columns = memory['columns'].float()
    return [
        _memory_table(memory),
        _positives_chart(memory, _serves_positives(log, memory)),
        _norms_chart(columns),
        *([_drift_chart(log)] if 'velocity' in memory else []),
        _among_features(features, columns, memory.get('positives'), method)
    ]


def _read_memory(content: Dict[str, Any]) -> Dict[str, Tensor]:
    """The buffers of the memory by name; a host's queue counts as columns."""
    prefix = 'memory.'
    state = content.get('state_dict', content)
    found = {
        name[len(prefix):]: value.clone()
        for name, value in state.items() if name.startswith(prefix)
    }
    queue = state.get('queue')
    if not found and isinstance(queue, Tensor) and queue.ndim == 2:
        found['columns'] = queue.clone()
    return found


def _serves_positives(log: RunLog, memory: Dict[str,
                                                Tensor]) -> Optional[bool]:
    """Whether the method uses columns as positives; None if unknown."""
    if 'positives' not in memory:
        return False
    if memory['positives'].any() or log.scalar('columns_used')[0]:
        return True
    kind = str(((log.cfg or {}).get('model') or {}).get('type', ''))
    return dict(AdCo=False, CaCo=True).get(kind.split('.')[-1])


def _memory_table(memory: Dict[str, Tensor]) -> Table:
    """The most important numbers of a memory."""
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


def _positives_chart(memory: Dict[str, Tensor],
                     serves: Optional[bool] = None) -> Panel:
    """How often each column was a positive, the busiest first."""
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
    # A point for each of 65536 columns would make the page slow.
    places = np.unique(np.linspace(0, len(ordered) - 1, 500).astype(int))
    even = float(ordered.mean())
    return Chart(
        'How often each column was a positive', 'columns, the busiest first',
        'times in the epoch of the checkpoint', [
            Series(places.tolist(), ordered[places].tolist(), 'columns'),
            Series([], [even], f'all alike: {even:.1f}', 'level', GREY)
        ])


def _norms_chart(columns: Tensor) -> Chart:
    """A histogram of the norms of columns (C, K)."""
    norms = columns.norm(dim=0).numpy()
    middle = float(np.median(norms))
    # All norms of a queue are 1, up to rounding.
    low = min(float(norms.min()), middle * 0.99)
    high = max(float(norms.max()), middle * 1.01)
    counts, edges = np.histogram(norms, BINS, (low, high))
    centres = (edges[1:] + edges[:-1]) / 2
    return Chart('Norms of the columns', 'norm', 'columns',
                 [Series(centres.tolist(), counts.tolist(), kind='bars')])


def _drift_chart(log: RunLog) -> Panel:
    """How far columns turned, as logged or between checkpoints."""
    if log.drift:
        return Chart('Drift of the columns', 'epochs', 'degrees in the epoch',
                     [
                         Series([epoch - 0.5 for epoch in log.drift],
                                [*log.drift.values()], 'mean of the columns')
                     ])
    before: Optional[Tensor] = None
    last, x, mean, most = 0, [], [], []
    for epoch, path in log.checkpoints().items():
        try:
            columns = _read_memory(read_checkpoint(path,
                                                   mmap=True)).get('columns')
        except FileNotFoundError:
            continue  # the training has just removed it
        if columns is None:
            continue
        now = F.normalize(columns.float(), dim=0)
        if before is not None and before.shape == now.shape:
            cosines = (before * now).sum(0).clamp(-1, 1)
            angles = cosines.arccos().rad2deg() / (epoch - last)
            x.append((epoch + last) / 2)
            mean.append(float(angles.mean()))
            most.append(float(angles.quantile(0.95)))
        before, last = now, epoch
    if not x:
        return Note('The drift of the columns takes two checkpoints of the '
                    'run, and fewer are left; default_hooks.checkpoint has '
                    'interval and max_keep_ckpts. With default_hooks.metrics.'
                    'bank_drift=True a run logs it.')
    return Chart('Drift of the columns', 'epochs',
                 'degrees per epoch, between checkpoints', [
                     Series(x, mean, 'mean of the columns'),
                     Series(x, most, '95 % of the columns are below')
                 ])


def _among_features(features: RunFeatures,
                    columns: Tensor,
                    positives: Optional[Tensor] = None,
                    method: str = 'pca') -> Panel:
    """Columns (C, K) and test pictures in one projection."""
    test = features.test
    queries = features.projected(test.pooled)
    if queries is None or queries.size(1) != columns.size(0):
        return Note('The columns are not in the space of the projector, so '
                    'there is no projection of both.')
    count = min(MOST_COLUMNS, columns.size(1))
    chosen = torch.randperm(
        columns.size(1), generator=torch.Generator().manual_seed(0))[:count]
    unit = F.normalize(columns[:, chosen].t(), dim=1)
    points = embed(torch.cat([queries, unit]), method)
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
