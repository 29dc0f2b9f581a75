# Copyright (c) caco_ext authors. All rights reserved.
from typing import Any, List, Optional, Sequence, Union

import torch
from torch import Tensor

from caco_ext.ops import concat_all_gather
from ..heads import BankFillHead
from ..memories import LearnableBank
from ..utils import Schedule
from .base import BaseMomentumMethod


class BankContrast(BaseMomentumMethod):
    """Base of the methods with a learnable bank, AdCo and CaCo.

    :class:`BankFillHook` fills the bank before the first epoch. For a few
    steps the query encoder learns to tell its own key from the columns. The
    keys of each batch replace the next columns.

    Args:
        fill_temperature (float, optional): Temperature of the softmax during
            the fill. Defaults to the head's.
        fill_momentum (float | dict, optional): Momentum of the key encoder
            during the fill. Defaults to ``momentum``, as in AdCo.
        fill_views (Sequence[int], optional): The query's and the key's view
            during the fill. Defaults to those of the loss' first term.
        fill_reset (bool): Copy the query encoder's parameters to the key
            encoder after the fill. Defaults to True, as the originals do.
        **kwargs: Arguments of :class:`BaseMomentumMethod`.
    """

    memory: LearnableBank

    def __init__(self,
                 *,
                 fill_temperature: Optional[float] = None,
                 fill_momentum: Union[float, dict, None] = None,
                 fill_views: Optional[Sequence[int]] = None,
                 fill_reset: bool = True,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        first = self.pairs[0]
        self.fill_views = tuple(fill_views) if fill_views else (
            self.query_views[first.query], self.key_views[first.key])
        if len(set(
                self.fill_views)) != 2 or not all(0 <= view < self.num_views
                                                  for view in self.fill_views):
            raise ValueError(
                f'fill_views={fill_views} must name a query and a key view, '
                f'two different ones, each below {self.num_views}')
        self.fill_momentum = self.momentum if fill_momentum is None else (
            Schedule.build(fill_momentum))
        if fill_temperature is None:
            fill_temperature = self.head.temperature
        self.fill_reset = fill_reset
        self._fill_head = BankFillHead(fill_temperature)
        self._filled: Optional[bool] = None

    def loss(self,
             inputs: List[Tensor],
             data_samples: Optional[list] = None) -> dict:
        """See :meth:`BaseMomentumMethod.loss`.

        Raises:
            RuntimeError: If the bank still has to be filled.
        """
        if not self._filled:
            if self.memory.needs_fill:
                raise RuntimeError(
                    f'{int(self.memory.filled)} of the '
                    f'{self.memory.num_columns} columns of the bank are '
                    'filled: keep default_hooks.bank_fill=dict(type='
                    "'BankFillHook') in the config, or set model.memory.init="
                    "'random' to train on random columns")
            self._filled = True
        return super().loss(inputs, data_samples)

    def forward_fill(self,
                     inputs: List[Tensor],
                     data_samples: Optional[list] = None) -> dict:
        """Run one step of the fill and write all ranks' keys to the bank.

        Args:
            inputs (list[Tensor]): The views, (N, 3, H, W) each.
            data_samples (list, optional): Not used.

        Returns:
            dict[str, Tensor]: 'loss' and 'positive_probability'.
        """
        self.before_forward(inputs)
        query_view, key_view = self.fill_views
        queries = self.encode_queries(inputs, [query_view])
        self._after_queries(queries[0])
        self.key_encoder.update(self, self.fill_momentum())
        keys = self.encode_keys(inputs, [key_view])
        with torch.autocast(inputs[0].device.type, enabled=False):
            losses = self._fill_head(queries[0], keys[0], self.memory)
            self.memory.write(concat_all_gather(keys[0]))
        return losses

    def end_fill(self) -> None:
        """Copy the query encoder to the key encoder, if ``fill_reset``."""
        if self.fill_reset:
            self.key_encoder.copy_from(self)
