# Copyright (c) caco_ext authors. All rights reserved.
from typing import Any, List, Sequence

from mmengine.registry import MODELS
from torch import Tensor

from .base import BaseMomentumMethod


@MODELS.register_module()
class CLSA(BaseMomentumMethod):
    """`CLSA <https://arxiv.org/abs/2104.07713>`_: strongly augmented views
    are supervised by the distribution of weak ones over a queue.

    The loss is :class:`CLSAHead`, the memory :class:`FeatureQueue`. The
    pipeline makes the key view first, then the weak views, then the strong
    ones. The symmetric mode adds the key view to the queries and the first
    weak view to the keys: ``query_views=(1, .., n, 0), key_views=(0, 1)``.
    Only keys of the first key view enter the queue.

    Args:
        query_views (Sequence[int]): Weak views. Defaults to (1, ).
        key_views (Sequence[int]): Defaults to (0, ).
        strong_views (Sequence[int]): Defaults to (2, ).
        shuffle_bn (bool): Defaults to True.
        **kwargs: Arguments of :class:`BaseMomentumMethod`.
    """

    def __init__(self,
                 *,
                 query_views: Sequence[int] = (1, ),
                 key_views: Sequence[int] = (0, ),
                 strong_views: Sequence[int] = (2, ),
                 shuffle_bn: bool = True,
                 **kwargs: Any) -> None:
        super().__init__(
            query_views=query_views,
            key_views=key_views,
            shuffle_bn=shuffle_bn,
            **kwargs)
        self.strong_views = tuple(strong_views)

    @property
    def num_views(self) -> int:
        """Views that the pipeline has to make of each picture."""
        return 1 + max(self.query_views + self.key_views + self.strong_views)

    def encode_queries(self, inputs: List[Tensor],
                       views: Sequence[int]) -> List[Tensor]:
        """Features of the weak views, then of the strong ones."""
        return super().encode_queries(inputs, (*views, *self.strong_views))

    def compute_losses(self, queries: List[Tensor],
                       keys: List[Tensor]) -> dict:
        """The head takes weak and strong queries as two lists."""
        weak = len(self.query_views)
        return self.head(queries[:weak], keys, self.pairs, self.memory,
                         queries[weak:])
