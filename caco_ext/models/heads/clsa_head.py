# Copyright (c) caco_ext authors. All rights reserved.
from typing import Dict, List, Optional, Tuple, Union

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from caco_ext.ops import concat_all_gather, local_labels
from ..memories import FeatureQueue
from ..utils import Pair, check_temperature, check_weight

Attended = Tuple[Tensor, Tensor]


@MODELS.register_module()
class CLSAHead(BaseModule):
    r"""Loss of `CLSA <https://arxiv.org/abs/2104.07713>`_.

    :math:`L = L_{contrast} + \alpha L_{DDM}`. Weak queries have MoCo's
    contrastive loss; the candidates are the keys of all ranks and a queue.
    Strong queries have distribution matching. Both are sums over crops.

    Args:
        temperature (float): Temperature of the contrastive loss; ``moco_t``
            in the original. Defaults to 0.2.
        matching (dict): Config of the head for strong views. Defaults to
            ``dict(type='DistributionMatchingHead', temperature=0.2)``.
        alpha (float): Weight of the matching. Defaults to 1.0.
        init_cfg (dict, optional): As in every mmengine module.
            Defaults to None.

    Raises:
        ValueError: If the temperature is not positive, or alpha negative.
    """

    def __init__(self,
                 temperature: float = 0.2,
                 matching: Union[dict, nn.Module] = dict(
                     type='DistributionMatchingHead', temperature=0.2),
                 alpha: float = 1.0,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.temperature = check_temperature(temperature, 'the head',
                                             'CLSA uses 0.2')
        self.matching = MODELS.build(matching)
        self.alpha = check_weight(alpha, 'the head', 'CLSA uses 1', 'alpha')

    @torch.compiler.disable
    def forward(self, queries: List[Tensor], keys: List[Tensor],
                pairs: List[Pair], memory: FeatureQueue,
                strong: List[Tensor]) -> Dict[str, Tensor]:
        """Both losses; enqueues the keys of the first key view.

        Args:
            queries (list[Tensor]): Unit vectors of weak views, (N, C) each.
            keys (list[Tensor]): Unit vectors of the key encoder, (N, C) each.
            pairs (list[Pair]): Which weak query meets which key.
            memory (FeatureQueue): The queue.
            strong (list[Tensor]): Unit vectors of strong views, (N, C) each.

        Returns:
            dict[str, Tensor]: 'loss_contrast', 'loss_matching' (times alpha)
            and 'positive_probability'.
        """
        label = local_labels(keys[0].size(0), keys[0].device)
        gathered = [concat_all_gather(key) for key in keys]
        contrasted, weak, matched = self._attend(queries, strong, memory)
        contrast = matching = queries[0].new_zeros(())
        probability = []
        for key, candidates in enumerate(gathered):
            own = [pair for pair in pairs if pair.key == key]
            for pair in own:
                cosines = queries[pair.query] @ candidates.t()
                cosines = cosines / self.temperature
                total = torch.logaddexp(contrasted[pair.query],
                                        cosines.logsumexp(dim=1))
                loss = total - cosines.gather(1, label[:, None])[:, 0]
                contrast = contrast + pair.weight * loss.mean()
                probability.append((-loss.detach()).exp().mean())
            matching = matching + self.matching(
                [queries[pair.query] for pair in own], strong, candidates,
                [weak[pair.query] for pair in own], matched)
        if torch.is_grad_enabled():
            memory.enqueue(gathered[0])
        return dict(
            loss_contrast=contrast,
            loss_matching=self.alpha * matching,
            positive_probability=torch.stack(probability).mean())

    def _attend(
        self, queries: List[Tensor], strong: List[Tensor], memory: FeatureQueue
    ) -> Tuple[Tuple[Tensor, ...], List[Attended], List[Attended]]:
        """Compare all queries with the queue in one pass.

        Returns:
            tuple: The weak queries' log-sum-exps for the contrastive loss;
            then log-sum-exp and mean column, of weak and of strong queries,
            for the matching.
        """
        same = self.matching.temperature == self.temperature
        weak = torch.cat(queries)
        rows, size = weak.size(0), queries[0].size(0)
        lse, mean = memory.attend(
            torch.cat([weak if same else weak.detach(), *strong]),
            self.matching.temperature)
        contrasted = lse[:rows] if same else memory.attend(
            weak, self.temperature)[0]
        found = list(zip(lse.split(size), mean.split(size)))
        return (contrasted.split(size), found[:len(queries)],
                found[len(queries):])
