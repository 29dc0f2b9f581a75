# Copyright (c) caco_ext authors. All rights reserved.
from typing import List, Optional

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class DistributionMatchingHead(BaseModule):
    r"""Distributional divergence minimisation (DDM) of CLSA.

    The distribution of a weakly augmented query over a set of candidates
    (keys of the batch and of a queue) is the target of a strongly augmented
    query of the same picture:

    .. math::
        L = \sum_{weak} \sum_{strong} -\frac{1}{N} \sum_n \sum_c
        \mathrm{softmax}(z^{weak}_n / \tau)_c
        \log \mathrm{softmax}(z^{strong}_n / \tau)_c

    No gradient reaches the weak queries.

    Args:
        temperature (float): tau; ``clsa_t`` of the original.
            Defaults to 0.2.
        init_cfg (dict, optional): As in every mmengine module.
            Defaults to None.

    Raises:
        ValueError: If the temperature is not positive.
    """

    def __init__(self,
                 temperature: float = 0.2,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        if temperature <= 0:
            raise ValueError(f'temperature={temperature} of the distribution '
                             'matching must be positive; CLSA uses 0.2')
        self.temperature = temperature

    def forward(self, weak: List[Tensor], strong: List[Tensor]) -> Tensor:
        """The loss.

        Args:
            weak (list[Tensor]): Cosines of weak queries with the candidates,
                (N, M) each.
            strong (list[Tensor]): The same of strong queries, (N, M) each.

        Returns:
            Tensor: Sum over all combinations, a scalar.
        """
        with torch.no_grad():
            target = sum(
                (one / self.temperature).softmax(dim=1) for one in weak)
        return sum(
            -(target *
              (one / self.temperature).log_softmax(dim=1)).sum(1).mean()
            for one in strong)
