# Copyright (c) caco_ext authors. All rights reserved.
import os
import time
from typing import Any, Dict, Optional, Tuple

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor
from torch.nn import functional as F

from caco_ext.utils.models import unwrap_model

# Number of columns that are compared at a time.
_PIECE = 8192


def host_memory() -> float:
    """Memory of this process, without its loaders' workers.

    Returns:
        float: Memory in MiB.
    """
    with open('/proc/self/statm', encoding='ascii') as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


def sum_of_turns(before: Tensor, now: Tensor) -> Tensor:
    """Add up the angles between columns then and now.

    Args:
        before (Tensor): Columns (C, K) of any length and precision.
        now (Tensor): The same columns later.

    Returns:
        Tensor: Sum in degrees, float32, (1, ).
    """
    total = now.new_zeros(1, dtype=torch.float32)
    # In pieces, because three copies of the bank would take a lot of memory.
    for pair in zip(before.split(_PIECE, 1), now.split(_PIECE, 1)):
        old, new = (F.normalize(one.float(), dim=0) for one in pair)
        # From the chord, as the cosine of a small angle rounds to 1.
        half = ((old - new).norm(dim=0) / 2).clamp(max=1)
        total += 2 * half.asin().rad2deg().sum()
    return total


@HOOKS.register_module()
class TrainingMetricsHook(Hook):
    """Log metrics that show whether pre-training goes well.

    These are images per second of all ranks together, memory of this process
    in MiB (mmengine logs that of the GPU as ``memory``), and the model's
    ``metrics``: momentum of the key encoder, learning rate and mean norm of
    the bank, share of its columns that were positives this epoch.
    They reach the log, the scalars file and every visualizer with the losses.

    Three metrics show collapse. The hook warns once until they recover:

    - ``feature_std``, 1 for uniform directions, 0 if all features are equal;
    - ``effective_rank``, of at most min(batch, channels) directions;
    - ``columns_used``, at the end of an epoch, compared with random choice.

    With ``bank_drift`` each whole epoch adds ``bank/drift`` to the scalars:
    the mean angle, in degrees, by which the bank's columns turned in the
    epoch. The report draws it. An epoch that was resumed inside has none.

    Args:
        interval (int): Iterations between two readings. They wait for the
            device, so this should be the logger's interval. Defaults to 50.
        min_std (float): ``feature_std`` below this is collapse. Defaults
            to 0.05, a mean cosine of 0.9975 between pictures.
        min_rank_share (float): ``effective_rank`` below this share of its
            maximum, or below 2, is collapse. Defaults to 0.05.
        min_columns_share (float): ``columns_used`` below this share of what
            random choice would use is collapse. Defaults to 0.05.
        patience (int): Warn after so many low readings in a row, as an
            untrained network begins low. Defaults to 5.
        bank_drift (bool): Log how far the bank turns in an epoch. This costs
            a pass over the columns at the end of an epoch, and during it a
            float16 copy on their device: 16 MiB for 65536 columns of width
            128. If the bank is not sharded, only the main process has it.
            Angles below some 0.02 degrees are lost. Defaults to False.

    Raises:
        ValueError: If a number is outside its range.
    """

    # After the timer, before the logger.
    priority = 'NORMAL'
    changes_numbers = False

    def __init__(self,
                 interval: int = 50,
                 min_std: float = 0.05,
                 min_rank_share: float = 0.05,
                 min_columns_share: float = 0.05,
                 patience: int = 5,
                 bank_drift: bool = False) -> None:
        for name, value in (('interval', interval), ('patience', patience)):
            if value < 1:
                raise ValueError(
                    f'{name}={value} of TrainingMetricsHook must be '
                    'at least 1')
        self.limits = dict(
            min_std=min_std,
            min_rank_share=min_rank_share,
            min_columns_share=min_columns_share)
        for name, share in self.limits.items():
            if not 0 <= share < 1:
                raise ValueError(
                    f'{name}={share} of TrainingMetricsHook must be '
                    'at least 0 (never warn) and below 1')
        self.interval = interval
        self.patience = patience
        self.bank_drift = bank_drift
        self._low: Dict[str, int] = {}
        self._columns: Optional[Tensor] = None

    def before_train_epoch(self, runner: Runner) -> None:
        """Reset the metrics."""
        self._since = time.perf_counter()
        self._images = 0
        memory = getattr(unwrap_model(runner.model), 'memory', None)
        # In a resumed epoch, the columns used before count too.
        if memory is not None and not runner.train_loop.batches_done:
            memory.reset_metrics()
            # A queue has no velocity: its columns are replaced, not turned.
            if self.bank_drift and hasattr(memory, 'velocity'):
                if memory.sharding.num_shards > 1 or is_main_process():
                    self._columns = F.normalize(memory.columns, dim=0).half()

    def after_train_epoch(self, runner: Runner) -> None:
        """Write how far the bank has turned."""
        if self._columns is None:
            return
        memory = unwrap_model(runner.model).memory
        turned = sum_of_turns(self._columns, memory.columns)
        self._columns = None
        degrees = float(memory.sharding.reduce(turned)) / memory.num_columns
        runner.visualizer.add_scalars({'bank/drift': degrees},
                                      step=runner.epoch + 1,
                                      file_path=f'{runner.timestamp}.json')

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: Optional[dict] = None) -> None:
        """Write the metrics to the message hub."""
        self._images += len(data_batch['data_samples']) * get_world_size()
        last = batch_idx + 1 == len(runner.train_dataloader)
        if not last and not self.every_n_inner_iters(batch_idx, self.interval):
            return
        now = time.perf_counter()
        values = dict(
            images_per_second=self._images / (now - self._since),
            host_memory=host_memory())
        self._since, self._images = now, 0
        model = unwrap_model(runner.model)
        if hasattr(model, 'metrics'):
            values.update(model.metrics())
        for name, value in values.items():
            runner.message_hub.update_scalar(f'train/{name}', value)
        if 'feature_std' in values:
            self._check_spread(runner, values, model.last_queries.shape)
        if last and 'columns_used' in values:
            self._check_columns(runner, model.memory, values['columns_used'])

    def _check_spread(self, runner: Runner, values: Dict[str, float],
                      shape: Tuple[int, int]) -> None:
        most = min(shape[0] * get_world_size(), shape[1])
        least = max(2., self.limits['min_rank_share'] * most) \
            if self.limits['min_rank_share'] else 0.
        for name, limit, means in (
            ('feature_std', self.limits['min_std'],
             'all pictures get nearly the same features'),
            ('effective_rank', least,
             f'of {most} possible directions hardly any is used')):
            if values[name] >= limit:
                self._low[name] = 0
                continue
            self._low[name] = self._low.get(name, 0) + 1
            if self._low[name] == self.patience:
                runner.logger.warning(
                    f'collapse: {name} is {values[name]:.3g}, below '
                    f'{limit:.3g} for {self.patience} readings: {means}. Are '
                    'learning rate, weight decay, temperature and the key '
                    "encoder's momentum right?")

    def _check_columns(self, runner: Runner, memory: Any, used: float) -> None:
        draws = int(memory.positives.sum())
        chance = 1 - (1 - 1 / memory.num_columns)**draws
        if used < self.limits['min_columns_share'] * chance:
            runner.logger.warning(
                f'collapse: {used:.3g} of the columns were positives in this '
                f'epoch, and chance would have used {chance:.3g}: a few '
                'columns attract all keys')
