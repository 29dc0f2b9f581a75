# Copyright (c) caco_ext authors. All rights reserved.
from typing import Dict

import torch
from mmengine.model import BaseModule
from torch import Tensor

from ..memories import LearnableBank
from ..utils import check_temperature


class BankFillHead(BaseModule):
    r"""Loss while a learnable bank is filled with keys.

    The positive of query n is its own key, the columns are the negatives.
    Keys of other pictures do not count, and the bank does not learn:

    .. math::
        L = \frac{1}{N} \sum_n -\log \frac{e^{q_n \cdot k_n / \tau}}
        {e^{q_n \cdot k_n / \tau} + \sum_j e^{q_n \cdot u_j / \tau}}

    Args:
        temperature (float): tau. AdCo uses 0.12, CaCo 0.2.

    Raises:
        ValueError: If the temperature is not positive.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = check_temperature(temperature, 'the fill',
                                             'AdCo uses 0.12, CaCo 0.2',
                                             'fill_temperature')

    @torch.compiler.disable
    def forward(self, query: Tensor, key: Tensor,
                memory: LearnableBank) -> Dict[str, Tensor]:
        """The loss of one view.

        Args:
            query (Tensor): Unit vectors of the query encoder, (N, C).
            key (Tensor): Unit vectors of the key encoder, (N, C).
            memory (LearnableBank): The bank.

        Returns:
            dict[str, Tensor]: 'loss' with gradient, and
            'positive_probability', the mean probability of a query's own key.
        """
        columns, _ = memory.logsumexp(query, self.temperature)
        positive = (query * key).sum(dim=1) / self.temperature
        log_prob = positive - torch.logaddexp(columns, positive)
        return dict(
            loss=-log_prob.mean(),
            positive_probability=log_prob.detach().exp().mean())
