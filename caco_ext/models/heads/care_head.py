# Copyright (c) caco_ext authors. All rights reserved.
from typing import Dict, List, Optional, Tuple

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from ..utils import Pair, check_weight


@MODELS.register_module()
class CAREHead(BaseModule):
    r"""Loss of `CARE <https://arxiv.org/abs/2110.05340>`_.

    BYOL's loss in the convolutional stream (q, k) and in the attention stream
    (a, b), plus a term that pulls q towards a. That term passes no gradient
    to a:

    .. math::
        L = \sum_{(i, j)} (2 - 2 q_i \cdot k_j) + (2 - 2 a_i \cdot b_j)
        + \lambda \sum_i \mathrm{MSE}(q_i, \mathrm{sg}[a_i])

    The original adds the same error between the teacher's streams. It has no
    gradient and only raises the logged value. Here it is logged separately.

    Args:
        consistency_weight (float): lambda; ``lambda_fea`` of the original.
            Defaults to 100.
        init_cfg (dict, optional): As in every mmengine module.
            Defaults to None.

    Raises:
        ValueError: If the weight is negative.
    """

    def __init__(self,
                 consistency_weight: float = 100.,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.consistency_weight = check_weight(consistency_weight, 'the head',
                                               'CARE uses 100',
                                               'consistency_weight')

    def forward(self, queries: List[Tuple[Tensor, Tensor]],
                keys: List[Tuple[Tensor, Tensor]],
                pairs: List[Pair]) -> Dict[str, Tensor]:
        """The three losses.

        Args:
            queries (list[tuple[Tensor, Tensor]]): The student's unit vectors
                of each view: convolutional and attention stream, (N, C) each.
            keys (list[tuple[Tensor, Tensor]]): The teacher's, likewise.
            pairs (list[Pair]): Which student view meets which teacher view.

        Returns:
            dict[str, Tensor]: 'loss_cnn', 'loss_attention',
            'loss_consistency', and 'teacher_consistency' without gradient.
        """

        zero = queries[0][0].new_zeros(())

        def regression(stream: int) -> Tensor:
            terms = (weight *
                     (2 - 2 *
                      (queries[query][stream] * keys[key][stream]).sum(dim=1)
                      ).mean() for query, key, weight in pairs)
            return sum(terms, zero)

        def consistency(views: List[Tuple[Tensor, Tensor]]) -> Tensor:
            terms = (F.mse_loss(cnn, attention.detach())
                     for cnn, attention in views)
            return self.consistency_weight * sum(terms, zero)

        return dict(
            loss_cnn=regression(0),
            loss_attention=regression(1),
            loss_consistency=consistency(queries),
            teacher_consistency=consistency(keys))
