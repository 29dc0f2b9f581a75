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
        init_cfg (dict, optional): As in every mmengine module.
            Defaults to None.

    Raises:
        ValueError: If a size is not positive.
    """

    def __init__(self,
                 num_columns: int = 65536,
                 dim: int = 128,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(num_columns, dim, init_cfg=init_cfg)
        if num_columns < 1 or dim < 1:
            raise ValueError(f'num_columns={num_columns}, dim={dim} of the '
                             'queue must be positive')
        self.register_buffer('columns',
                             F.normalize(torch.randn(dim, num_columns), dim=0))
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
        for keys in staged:
            count = torch.arange(keys.size(0), device=keys.device)
            places = (self.pointer + count) % self.num_columns
            self.columns.index_copy_(1, places, keys.t().to(self.columns))
            self.pointer.add_(keys.size(0)).remainder_(self.num_columns)

    def signals(self) -> Dict[str, float]:
        """Nothing of a queue changes that a log could tell."""
        return {}

    def reset_signals(self) -> None:
        """Counterpart of the bank's; there is nothing to reset."""
