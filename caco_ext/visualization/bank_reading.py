"""What a checkpoint keeps of a memory, and how that changed."""
from typing import Any, Dict, Optional

from torch import Tensor
from torch.nn import functional as F

from .loading import read_checkpoint
from .panels import Chart, Note, Panel, Series
from .run_logs import RunLog


def read_memory(content: Dict[str, Any]) -> Dict[str, Tensor]:
    """Read what a checkpoint keeps of the memory, and nothing else.

    Args:
        content (dict): Of :func:`.loading.read_checkpoint`.

    Returns:
        dict[str, Tensor]: Buffers by name: 'columns' (C, K), of a learnable
        bank also 'positives' (K, ) and others; the hosts' MoCo has a queue
        of such columns; empty without a memory.
    """
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


def serves_positives(log: RunLog, memory: Dict[str, Tensor]) -> Optional[bool]:
    """Whether columns of this memory become positives.

    Args:
        log (RunLog): The run.
        memory (dict[str, Tensor]): Of :func:`read_memory`.

    Returns:
        bool | None: None where that cannot be told.
    """
    if 'positives' not in memory:
        return False
    if memory['positives'].any() or log.scalar('columns_used')[0]:
        return True
    kind = str(((log.cfg or {}).get('model') or {}).get('type', ''))
    return dict(AdCo=False, CaCo=True).get(kind.split('.')[-1])


def drift_chart(log: RunLog) -> Panel:
    """How far the columns turned in an epoch.

    Args:
        log (RunLog): The run. Where it did not log that, its ``epoch_*.pth``
            are compared.

    Returns:
        Chart | Note: A note where fewer than two are left.
    """
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
            columns = read_memory(read_checkpoint(path)).get('columns')
        except FileNotFoundError:
            continue  # a training that goes on has removed it
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
