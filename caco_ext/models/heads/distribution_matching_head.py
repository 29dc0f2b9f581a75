# Copyright (c) caco_ext authors. All rights reserved.
from typing import List, Optional, Tuple

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from ..utils import check_temperature


@MODELS.register_module()
class DistributionMatchingHead(BaseModule):
    r"""Distributional divergence minimisation (DDM) of CLSA.

    The distribution of a weakly augmented query over a set of candidates
    (keys ``x`` of the batch and of a queue) is the target of a strongly
    augmented query of the same picture:

    .. math::
        L = \sum_{weak} \sum_{strong} -\frac{1}{N} \sum_n \sum_c
        p_{nc} \log \mathrm{softmax}(q^{strong}_n \cdot x / \tau)_c, \quad
        p_n = \mathrm{softmax}(q^{weak}_n \cdot x / \tau)

    No gradient reaches the weak queries. A cosine is linear in the candidate,
    so the inner sum is
    :math:`q^{strong}_n \cdot \bar x_n / \tau - \log \sum_c
    e^{q^{strong}_n \cdot x_c / \tau}` with the weak query's mean candidate
    :math:`\bar x_n = \sum_c p_{nc} x_c`. No distribution over the queue needs
    to be stored.

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
        self.temperature = check_temperature(temperature,
                                             'the distribution matching',
                                             'CLSA uses 0.2')

    def forward(self, weak: List[Tensor], strong: List[Tensor], keys: Tensor,
                weak_queue: List[Tuple[Tensor, Tensor]],
                strong_queue: List[Tuple[Tensor, Tensor]]) -> Tensor:
        """The loss.

        Args:
            weak (list[Tensor]): Unit vectors, (N, C) each.
            strong (list[Tensor]): Unit vectors, (N, C) each.
            keys (Tensor): The candidates outside the queue, (B, C).
            weak_queue (list[tuple[Tensor, Tensor]]): What
                :meth:`FeatureQueue.attend` gives for each of ``weak`` at this
                head's temperature: (N, ) and (N, C).
            strong_queue (list[tuple[Tensor, Tensor]]): The same for
                ``strong``.

        Returns:
            Tensor: Sum over all combinations, a scalar.
        """

        def join(query: Tensor, lse: Tensor) -> Tuple[Tensor, Tensor]:
            # (N, B) and (N, )
            cosines = query @ keys.t() / self.temperature
            return cosines, torch.logaddexp(lse, cosines.logsumexp(dim=1))

        with torch.no_grad():
            target = torch.zeros_like(strong[0])
            for query, (lse, mean) in zip(weak, weak_queue):
                cosines, total = join(query, lse)
                target = target + (lse - total).exp()[:, None] * mean
                target = target + (cosines - total[:, None]).exp() @ keys
        loss = target.new_zeros(())
        for query, (lse, _) in zip(strong, strong_queue):
            _, total = join(query, lse)
            dots = (query * target).sum(dim=1) / self.temperature
            loss = loss + (len(weak) * total - dots).mean()
        return loss
