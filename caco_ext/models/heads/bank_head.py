# Copyright (c) caco_ext authors. All rights reserved.
from abc import abstractmethod
from typing import Dict, List, Optional, Tuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..utils import Pair, check_temperature


class BankHead(BaseModule):
    """Contrast of queries with a learnable bank: what AdCo and CaCo share.

    Args:
        temperature (float): Of the encoder's softmax; ``moco_t`` of the
            originals.
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

    def forward(self, queries: List[Tensor], keys: List[Tensor],
                pairs: List[Pair], memory: nn.Module) -> Dict[str, Tensor]:
        """Weighted sum of the pairs' cross-entropies; stages the bank's step.

        Args:
            queries (list[Tensor]): Unit vectors of the query encoder, one
                (N, C) a view.
            keys (list[Tensor]): Unit vectors of the key encoder, one (N, C)
                a view.
            pairs (list[Pair]): Which query meets which key.
            memory (nn.Module): A :class:`LearnableBank`.

        Returns:
            dict[str, Tensor]: 'loss' with gradient, and
            'positive_probability', the mean probability of the positive.
        """
        log_prob = self.log_probabilities(queries, keys, pairs, memory)
        means = log_prob.mean(dim=1).unbind()  # weights stay on the host
        return dict(
            loss=-sum(pair.weight * mean for pair, mean in zip(pairs, means)),
            positive_probability=log_prob.detach().exp().mean())

    @abstractmethod
    def log_probabilities(self, queries: List[Tensor], keys: List[Tensor],
                          pairs: List[Pair], memory: nn.Module) -> Tensor:
        """Log-probability of each pair's positive, (pairs, N).

        Stages the bank's step when gradients are enabled. Arguments as in
        :meth:`forward`.
        """

    def _bank(self, queries: List[Tensor],
              memory: nn.Module) -> Tuple[Tensor, List[Tensor], List[Tensor]]:
        """All views in one product: the queries, (views * N, C), which
        ``memory.accumulate`` takes too, and their log-sum-exp view by view."""
        joined = torch.cat(queries)
        ours, banks = memory.logsumexp(joined, self.temperature)
        sizes = [query.size(0) for query in queries]
        return joined, ours.split(sizes), banks.split(sizes)
