# Copyright (c) caco_ext authors. All rights reserved.
import math
from typing import List, Optional

import torch
from mmengine.registry import MODELS
from torch import Tensor

from caco_ext.ops import concat_all_gather, local_labels
from ..memories import LearnableBank
from ..utils import Pair
from .bank_head import BankHead


@MODELS.register_module()
class AdCoHead(BankHead):
    r"""Loss of `AdCo <https://arxiv.org/abs/2011.08435>`_.

    The positive of query n is its own key. The denominator sums over the keys
    of all ranks and the bank's columns:

    .. math::
        L = \sum_{(q, k)} a_{qk} \frac{1}{N} \sum_n -\log
        \frac{e^{q_n \cdot k_n / \tau}}
             {\sum_b e^{q_n \cdot k_b / \tau} + \sum_j e^{q_n \cdot u_j /\tau}}

    The bank maximises the same loss, at its own temperature.

    Args:
        temperature (float): tau. Defaults to 0.12.
        in_batch_negatives (bool): Whether keys of other pictures are
            negatives too, as in the original. Defaults to True.
        init_cfg (dict, optional): As in every mmengine module.
            Defaults to None.
    """

    def __init__(self,
                 temperature: float = 0.12,
                 in_batch_negatives: bool = True,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(temperature, init_cfg)
        self.in_batch_negatives = in_batch_negatives

    def log_probabilities(self, queries: List[Tensor], keys: List[Tensor],
                          pairs: List[Pair], memory: LearnableBank) -> Tensor:
        """See :meth:`BankHead.log_probabilities`."""
        joined, ours, banks = self._bank(queries, memory)
        if self.in_batch_negatives:
            others = [concat_all_gather(key) for key in keys]
            label = local_labels(keys[0].size(0), keys[0].device)
        log_prob = []
        shares: List[List[Tensor]] = [[] for _ in queries]
        for query, key, weight in pairs:
            if self.in_batch_negatives:
                cosines = queries[query] @ others[key].t()  # N x B
                positive = cosines.gather(1, label[:, None])[:, 0]
            else:
                positive = (queries[query] * keys[key]).sum(dim=1)
                cosines = positive[:, None]
            total = torch.logaddexp(
                ours[query], (cosines / self.temperature).logsumexp(dim=1))
            log_prob.append(positive / self.temperature - total)
            with torch.no_grad():
                total = torch.logaddexp(banks[query],
                                        (cosines /
                                         memory.temperature).logsumexp(dim=1))
                # The pairs of a query differ only in the denominator of the
                # bank's softmax, so their sum is one softmax again.
                shares[query].append(math.log(weight / total.numel()) - total)
        if torch.is_grad_enabled():
            # A query without a pair gets the weight 0.
            none = torch.full_like(banks[0], float('-inf'))
            memory.accumulate(
                joined, -torch.cat([
                    torch.stack(share or [none]).logsumexp(0)
                    for share in shares
                ]))
        return torch.stack(log_prob)
