# Copyright (c) caco_ext authors. All rights reserved.
from typing import Dict, List, Optional, Tuple

import torch
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from caco_ext.ops import softmax_mean
from .memory import Memory


@MODELS.register_module()
class FeatureQueue(Memory):
    """The queue of MoCo and CLSA: the newest keys, first in first out.

    Any length works, as the pointer may wrap inside a batch.

    Args:
        num_columns (int): K; ``moco_k`` of the original. Defaults to 65536.
        dim (int): Width C of the features. Defaults to 128.
        shard (bool): Keep K / ranks columns on each rank. Queries then pass
            between ranks. Defaults to False.
        init_cfg (dict, optional): As in every mmengine module.
            Defaults to None.

    Raises:
        ValueError: If a size is not positive, or the columns do not divide
            evenly.
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
        self._pending: List[Tensor] = []

    # As in MoCo, the queue starts with noise and is used from the first step.
    needs_fill = False

    def attend(self, queries: Tensor,
               temperature: float) -> Tuple[Tensor, Tensor]:
        """Log-sum-exp and mean column of each query's softmax over the queue.

        Args:
            queries (Tensor): Unit vectors of this rank, (N, C).
            temperature (float): Divides the cosines.

        Returns:
            tuple[Tensor, Tensor]: Log-sum-exp over the columns, (N, ), with
            gradient, and their mean weighted by the softmax, (N, C), without.
        """
        return softmax_mean(
            queries, self.columns, temperature, sharding=self.sharding)

    def enqueue(self, keys: Tensor) -> None:
        """Store keys until :meth:`step` writes them to the queue.

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
        self._pending.append(keys.detach())

    def clear_pending(self) -> None:
        """Drop the keys that :meth:`enqueue` has stored."""
        self._pending = []

    @torch.no_grad()
    def step(self) -> None:
        """Replace the oldest columns by the stored keys."""
        pending, self._pending = self._pending, []
        self._steps += 1
        num_shards, mine = self.sharding.num_shards, self.sharding.shard
        for keys in pending:
            # Every num_shards-th key is this rank's. Which is the first is
            # known only on the device, where the pointer is. Where the last
            # would be beyond the batch, its column stays as it is.
            turn = torch.arange(
                -(-len(keys) // num_shards), device=keys.device)
            turn = (mine - self.pointer) % num_shards + num_shards * turn
            places = (self.pointer + turn) % self.num_columns // num_shards
            new = keys[turn.clamp(max=len(keys) - 1)].t().to(self.columns)
            new = torch.where(turn < len(keys), new, self.columns[:, places])
            self.columns.index_copy_(1, places, new)
            self.pointer.add_(len(keys)).remainder_(self.num_columns)

    def metrics(self) -> Dict[str, float]:
        """What to log: only :meth:`traffic`."""
        return self.traffic()

    def reset_metrics(self) -> None:
        """Reset the count of bytes sent."""
        self.reset_traffic()
