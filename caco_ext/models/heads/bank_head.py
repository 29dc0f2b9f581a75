# Copyright (c) caco_ext authors. All rights reserved.
from abc import abstractmethod
from typing import Dict, List, Optional, Tuple

import torch
from mmengine.model import BaseModule
from torch import Tensor

from ..memories import LearnableBank
from ..utils import Pair, check_temperature

Views = Tuple[Tensor, ...]


class BankHead(BaseModule):
    """Base of AdCo's and CaCo's loss: queries against a learnable bank.

    Args:
        temperature (float): Temperature of the encoder's softmax; ``moco_t``
            in the originals.
        init_cfg (dict, optional): As in every mmengine module.
            Defaults to None.

    Raises:
        ValueError: If the temperature is not positive.
    """

    def __init__(self,
                 temperature: float,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.temperature = check_temperature(temperature, 'the head',
                                             'AdCo uses 0.12, CaCo 0.08')

    @torch.compiler.disable
    def forward(self, queries: List[Tensor], keys: List[Tensor],
                pairs: List[Pair], memory: LearnableBank) -> Dict[str, Tensor]:
        """Weighted sum of the pairs' cross-entropies.

        Also hands the bank what its next step needs.

        Args:
            queries (list[Tensor]): Unit vectors of the query encoder, one
                (N, C) a view.
            keys (list[Tensor]): Unit vectors of the key encoder, one (N, C)
                a view.
            pairs (list[Pair]): Which query meets which key.
            memory (LearnableBank): The bank.

        Returns:
            dict[str, Tensor]: 'loss' with gradient, and
            'positive_probability', the mean probability of the positive.
        """
        log_prob = self.log_probabilities(queries, keys, pairs, memory)
        means = log_prob.mean(dim=1).unbind()  # weights stay on the host
        terms = (pair.weight * mean for pair, mean in zip(pairs, means))
        return dict(
            loss=-sum(terms, log_prob.new_zeros(())),
            positive_probability=log_prob.detach().exp().mean())

    @abstractmethod
    def log_probabilities(self, queries: List[Tensor], keys: List[Tensor],
                          pairs: List[Pair], memory: LearnableBank) -> Tensor:
        """Log-probability of each pair's positive, (pairs, N).

        Calls ``memory.accumulate`` if gradients are enabled. The arguments
        are those of :meth:`forward`.
        """

    def _bank(self, queries: List[Tensor],
              memory: LearnableBank) -> Tuple[Tensor, Views, Views]:
        """Log-sum-exp of all views over the bank, in one matrix product.

        Returns:
            tuple: The joined queries, (views * N, C), for
            ``memory.accumulate``; then the log-sum-exp of each view, (N, ),
            at the head's temperature and at the bank's.
        """
        joined = torch.cat(queries)
        ours, banks = memory.logsumexp(joined, self.temperature)
        sizes = [query.size(0) for query in queries]
        return joined, ours.split(sizes), banks.split(sizes)
