# Copyright (c) caco_ext authors. All rights reserved.
from typing import Any, List, Optional, Sequence, Union

from mmengine.registry import MODELS

from ..utils import Pair
from .bank_contrast import BankContrast


@MODELS.register_module()
class CaCo(BankContrast):
    """`CaCo <https://arxiv.org/abs/2203.14370>`_: the bank's vectors serve as
    negatives and as positives, and learn in both roles.

    ============== ======================================================
    loss           :class:`CaCoHead`, ``models/heads/caco_head.py``
    bank's update  :meth:`LearnableBank.step`,
                   ``models/memories/learnable_bank.py``; torch calls it
                   after each optimizer step, see
                   ``models/utils/step_listener.py``
    schedules      :class:`Schedule`, ``models/utils/schedules.py``
    their values   network: ``optim_wrapper`` and ``param_scheduler``;
                   bank: ``model.memory.lr``; key encoder:
                   ``model.momentum``; all in ``configs/selfsup``
    ============== ======================================================

    With two views the loss is the sum of both directions. With more, it is
    the mean over the pairs of the key views plus the mean over the pairs of
    the small crops, as in the original.

    Args:
        fill_temperature (float, optional): Defaults to 0.2, as in the
            original's code.
        fill_momentum (float | dict, optional): Defaults to 0.999, as in the
            original's code.
        **kwargs: Arguments of :class:`BankContrast`.
    """

    def __init__(self,
                 *,
                 fill_temperature: Optional[float] = 0.2,
                 fill_momentum: Union[float, dict, None] = 0.999,
                 **kwargs: Any) -> None:
        super().__init__(
            fill_temperature=fill_temperature,
            fill_momentum=fill_momentum,
            **kwargs)

    @staticmethod
    def make_pairs(query_views: Sequence[int],
                   key_views: Sequence[int]) -> List[Pair]:
        """Sum over all pairs or, with small crops, one mean per crop size."""
        pairs = BankContrast.make_pairs(query_views, key_views)
        small = {i for i, v in enumerate(query_views) if v not in key_views}
        if not small:
            return pairs
        count = sum(pair.query in small for pair in pairs)
        return [
            pair._replace(
                weight=1 /
                (count if pair.query in small else len(pairs) - count))
            for pair in pairs
        ]
