# Copyright (c) caco_ext authors. All rights reserved.
from typing import Dict, List, Optional

import torch
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from .memory import Memory


@MODELS.register_module()
class FeatureQueue(Memory):
    """The newest keys, first in first out, of MoCo and CLSA.

    Any length serves: the pointer wraps inside a batch.

    Args:
        num_columns (int): K; ``moco_k`` of the original. Defaults to 65536.
        dim (int): Width C of the features. Defaults to 128.
        shard (bool): Keep K / ranks columns on each rank. Defaults to False.
        init_cfg (dict, optional): As in every mmengine module.
            Defaults to None.

    Raises:
        ValueError: If a size is not positive.
    """

    def __init__(self,
                 num_columns: int = 65536,
                 dim: int = 128,
                 shard: bool = False,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(num_columns, dim, shard, init_cfg)
        if num_columns < 1 or dim < 1:
            raise ValueError(f'num_columns={num_columns}, dim={dim} of the '
                             'queue must be positive')
        self.register_buffer('columns',
                             F.normalize(self.random_columns(), dim=0))
        self.register_buffer('pointer', torch.zeros(1, dtype=torch.long))
        self._staged: List[Tensor] = []

    # The queue serves from the first step on, full of noise, as in MoCo.
    needs_fill = False

    def stage(self, keys: Tensor) -> None:
        """Keep keys for the next step.

        Args:
            keys (Tensor): Keys of all ranks, (B, C).

        Raises:
            ValueError: If the queue is shorter than this batch.
        """
        if keys.size(0) > self.num_columns:
            raise ValueError(
                f'num_columns={self.num_columns} of the queue is less than '
                f'the {keys.size(0)} keys of one global batch; make the queue '
                'longer or the batch smaller')
        self._staged.append(keys.detach())

    def discard(self) -> None:
        """Forget what is staged."""
        self._staged = []

    @torch.no_grad()
    def step(self) -> None:
        """Write everything staged over the oldest columns."""
        staged, self._staged = self._staged, []
        self._steps += bool(staged)
        parts = self.shards.parts
        for keys in staged:
            # Each rank writes every ``parts``-th key, as many as the others;
            # the first one is a tensor, so that nothing waits for a device.
            first = (self.shards.part - self.pointer) % parts
            index = first + torch.arange(
                0, keys.size(0), parts, device=keys.device)
            numbers = (self.pointer + index) % self.num_columns
            self.columns.index_copy_(1, numbers // parts,
                                     keys[index].t().to(self.columns))
            self.pointer.add_(keys.size(0)).remainder_(self.num_columns)

    def signals(self) -> Dict[str, float]:
        """What to log: only :meth:`traffic` of a queue ever changes."""
        return self.traffic()

    def reset_signals(self) -> None:
        """Begin to count the bytes sent anew."""
        self.reset_traffic()
