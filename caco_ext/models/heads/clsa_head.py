# Copyright (c) caco_ext authors. All rights reserved.
from typing import Dict, List, Optional, Union

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from caco_ext.ops import gather, own_rows
from .bank_head import Pair


@MODELS.register_module()
class CLSAHead(BaseModule):
    r"""Loss of `CLSA <https://arxiv.org/abs/2104.07713>`_.

    MoCo's contrast for weak queries, with the keys of all ranks and a queue
    as candidates, and distribution matching for strong ones:
    :math:`L = L_{contrast} + \alpha L_{DDM}`. Nothing is averaged over crops.

    Args:
        temperature (float): Of the contrast; ``moco_t`` of the original.
            Defaults to 0.2.
        matching (dict): The head for strong views. Defaults to
            ``dict(type='DistributionMatchingHead', temperature=0.2)``.
        alpha (float): Weight of the matching. Defaults to 1.0.
        init_cfg (dict, optional): As in every mmengine module.
            Defaults to None.

    Raises:
        ValueError: If the temperature is not positive.
    """

    def __init__(self,
                 temperature: float = 0.2,
                 matching: Union[dict, nn.Module] = dict(
                     type='DistributionMatchingHead', temperature=0.2),
                 alpha: float = 1.0,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        if temperature <= 0:
            raise ValueError(f'temperature={temperature} of the head must be '
                             'positive; CLSA uses 0.2')
        self.temperature = temperature
        self.matching = MODELS.build(matching)
        self.alpha = alpha

    def forward(self, queries: List[Tensor], keys: List[Tensor],
                pairs: List[Pair], memory: nn.Module,
                strong: List[Tensor]) -> Dict[str, Tensor]:
        """Both losses; stages the keys of the first key view for the queue.

        Args:
            queries (list[Tensor]): Unit vectors of weak views, (N, C) each.
            keys (list[Tensor]): Unit vectors of the key encoder, (N, C) each.
            pairs (list[Pair]): Which weak query meets which key.
            memory (nn.Module): A :class:`FeatureQueue`.
            strong (list[Tensor]): Unit vectors of strong views, (N, C) each.

        Returns:
            dict[str, Tensor]: 'loss_contrast', 'loss_matching' (times alpha)
            and 'positive_probability'.
        """
        label = own_rows(keys[0].size(0), keys[0].device)
        gathered = [gather(key) for key in keys]
        contrast, matching, probability = 0., 0., []
        for key, candidates in enumerate(gathered):
            candidates = torch.cat([candidates.t(), memory.columns], dim=1)
            weak = []
            for pair in pairs:
                if pair.key == key:
                    weak.append(queries[pair.query] @ candidates)
                    loss = F.cross_entropy(
                        weak[-1] / self.temperature, label, reduction='none')
                    contrast = contrast + pair.weight * loss.mean()
                    probability.append((-loss.detach()).exp().mean())
            matching = matching + self.matching(
                weak, [one @ candidates for one in strong])
        if torch.is_grad_enabled():
            memory.stage(gathered[0])
        return dict(
            loss_contrast=contrast,
            loss_matching=self.alpha * matching,
            positive_probability=torch.stack(probability).mean())
