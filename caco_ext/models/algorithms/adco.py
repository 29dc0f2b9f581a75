# Copyright (c) caco_ext authors. All rights reserved.
from typing import Any, List, Sequence

from mmengine.registry import MODELS

from ..utils import Pair
from .bank_contrast import BankContrast


@MODELS.register_module()
class AdCo(BankContrast):
    """`AdCo <https://arxiv.org/abs/2011.08435>`_: the negatives are a bank of
    vectors that learn to be hard.

    The loss is :class:`AdCoHead`, the bank :class:`LearnableBank`. Their
    schedules are in ``configs/selfsup/adco``. The views decide the mode:

    ================== ============ =========
    mode               query_views  key_views
    ================== ============ =========
    asymmetric         0            1
    symmetric          0, 1         0, 1
    multi-crop         1 .. 5       0
    both               0 .. 5       0, 1
    ================== ============ =========

    As in the original's modes, the loss is the mean over key views and the
    sum over query views.

    Args:
        query_views (Sequence[int]): Defaults to (0, ).
        key_views (Sequence[int]): Defaults to (1, ).
        shuffle_bn (bool): Defaults to True.
        **kwargs: Arguments of :class:`BankContrast`.
    """

    def __init__(self,
                 *,
                 query_views: Sequence[int] = (0, ),
                 key_views: Sequence[int] = (1, ),
                 shuffle_bn: bool = True,
                 **kwargs: Any) -> None:
        super().__init__(
            query_views=query_views,
            key_views=key_views,
            shuffle_bn=shuffle_bn,
            **kwargs)

    @staticmethod
    def make_pairs(query_views: Sequence[int],
                   key_views: Sequence[int]) -> List[Pair]:
        """Sum over queries, mean over keys."""
        return [
            pair._replace(weight=1 / len(key_views))
            for pair in BankContrast.make_pairs(query_views, key_views)
        ]
