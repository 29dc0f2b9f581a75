# Copyright (c) caco_ext authors. All rights reserved.
from math import log
from typing import List, Optional

import torch
from mmengine.registry import MODELS
from torch import Tensor

from ..memories import LearnableBank
from ..utils import Pair
from .bank_head import BankHead


@MODELS.register_module()
class CaCoHead(BankHead):
    r"""Loss of `CaCo <https://arxiv.org/abs/2203.14370>`_.

    The bank supplies positives and negatives. The positive of query n is the
    column nearest to the key of another view of its picture:

    .. math::
        L = \sum_{(q, k)} a_{qk} \frac{1}{N} \sum_n -\log
        \frac{e^{q_n \cdot u_{y_n} / \tau}}{\sum_j e^{q_n \cdot u_j / \tau}},
        \quad y_n = \arg\max_j k_n \cdot u_j

    At the bank's temperature, negative columns maximise this loss and
    positive ones minimise it. Both thus turn towards the query.

    Args:
        temperature (float): tau. Defaults to 0.08, as in the configs (the
            default of the original's parser is 0.12).
        init_cfg (dict, optional): As in every mmengine module.
            Defaults to None.
    """

    def __init__(self,
                 temperature: float = 0.08,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(temperature, init_cfg)

    def log_probabilities(self, queries: List[Tensor], keys: List[Tensor],
                          pairs: List[Pair], memory: LearnableBank) -> Tensor:
        """See :meth:`BankHead.log_probabilities`."""
        joined, ours, banks = self._bank(queries, memory)
        nearest = memory.nearest(torch.cat(keys))
        positives = memory.pick(nearest).chunk(len(keys))
        labels = nearest.chunk(len(keys))
        rows = torch.arange(
            len(joined), device=joined.device).split(list(map(len, queries)))
        log_prob, corrections = [], []
        weights = [0.] * len(queries)
        for query, key, weight in pairs:
            cosines = (queries[query] * positives[key]).sum(dim=1)
            log_prob.append(cosines / self.temperature - ours[query])
            with torch.no_grad():
                # The bank gives each column p, the weight of a negative. A
                # positive needs 1 - p, so the correction adds 1 - 2 p.
                share = weight / len(rows[query])
                prob = (cosines / memory.temperature - banks[query]).exp()
                corrections.append(
                    (rows[query], labels[key], share * (1 - 2 * prob)))
                weights[query] += share
        if torch.is_grad_enabled():
            normalisers = [
                bank - log(weight) if weight else bank.new_full(
                    bank.shape, float('inf'))
                for bank, weight in zip(banks, weights)
            ]
            memory.accumulate(
                joined, torch.cat(normalisers),
                (torch.cat([rows for rows, _, _ in corrections]),
                 torch.cat([labels for _, labels, _ in corrections]),
                 torch.cat([amount for _, _, amount in corrections])))
        return torch.stack(log_prob)
