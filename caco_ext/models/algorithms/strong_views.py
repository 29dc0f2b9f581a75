# Copyright (c) caco_ext authors. All rights reserved.
from functools import lru_cache
from operator import attrgetter
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from caco_ext.ops import concat_all_gather
from ..memories import FeatureQueue
from ..utils import check_memory_width
from .memory_mixin import MemoryMixin


class StrongViewsMixin(MemoryMixin):
    """Adds CLSA's distribution matching to another algorithm's class.

    The target of the strong views is the distribution of view 0 over the keys
    of view 1 and a queue of earlier keys. See :class:`StrongViews` for the
    arguments.
    """

    memory: FeatureQueue
    backbone: nn.Module
    neck: nn.Module

    def __init__(self,
                 *,
                 memory: dict,
                 strong_views: Sequence[int] = (2, ),
                 key_encoder: Optional[str] = None,
                 alpha: float = 1.0,
                 matching: dict = dict(type='DistributionMatchingHead'),
                 **options: Any) -> None:
        super().__init__(**options)
        self.memory = MODELS.build(memory)
        self.matching = MODELS.build(matching)
        self.alpha = alpha
        self.strong_views = tuple(strong_views)
        self.key_encoder_name = key_encoder
        if min(self.strong_views, default=0) < 2:
            raise ValueError(
                f'strong_views={strong_views} of StrongViews must name views '
                'behind the first two, of which 0 supervises them and 1 gives '
                'the keys; use (2, )')
        check_memory_width(self.memory, self.neck)
        try:
            self._key_encoder()
        except AttributeError as error:
            parts = ', '.join(name for name, _ in self.named_children())
            raise ValueError(
                f'key_encoder={key_encoder!r} of StrongViews is no part of '
                f'the algorithm, which has {parts}') from error

    def _query_encoder(self, images: Tensor) -> Tuple[Tensor]:
        return self.neck(self.backbone(images))

    def _key_encoder(self) -> Callable[[Tensor], Tuple[Tensor]]:
        if self.key_encoder_name is None:
            return self._query_encoder
        return attrgetter(self.key_encoder_name)(self)

    @property
    def num_views(self) -> int:
        """Views that the pipeline has to make of each picture."""
        return 1 + max(self.strong_views)

    def loss(self,
             inputs: List[Tensor],
             data_samples: Optional[list] = None,
             **kwargs: Any) -> Dict[str, Tensor]:
        """The algorithm's losses on its own views, plus the matching."""
        self.before_forward(inputs)
        losses = super().loss(  # type: ignore[misc]
            inputs[:min(self.strong_views)], data_samples, **kwargs)

        def encode(view: int, encoder: Callable) -> Tensor:
            return F.normalize(encoder(inputs[view])[0].float(), dim=1)

        strong = [
            encode(view, self._query_encoder) for view in self.strong_views
        ]
        with torch.no_grad():
            weak = encode(0, self._query_encoder)
            keys = concat_all_gather(encode(1, self._key_encoder()))
        with torch.autocast(keys.device.type, enabled=False):
            found = list(
                zip(*(part.split(len(weak)) for part in self.memory.attend(
                    torch.cat([weak, *strong]), self.matching.temperature))))
            losses['loss_matching'] = self.alpha * self.matching(
                [weak], strong, keys, found[:1], found[1:])
        if torch.is_grad_enabled():
            self.memory.enqueue(keys)
        return losses

    def __reduce_ex__(self, protocol: Any) -> tuple:
        """Copy and pickle through the base class.

        The subclass is made at run time, so pickle finds it in no module.
        """
        return _empty, (type(self).__bases__[1], ), self.__dict__


@lru_cache(maxsize=None)
def with_strong_views(algorithm: type) -> type:
    """Make a subclass of a class that has :class:`StrongViewsMixin` first.

    Args:
        algorithm (type): A contrastive algorithm with a ``backbone`` and a
            ``neck``.

    Returns:
        type: The subclass; the same one for the same algorithm.
    """
    bases: Tuple[type, ...] = StrongViewsMixin, algorithm
    return type(f'StrongViews{algorithm.__name__}', bases, {})


def _empty(algorithm: type) -> nn.Module:
    """An empty instance, which unpickling fills."""
    cls = with_strong_views(algorithm)
    return object.__new__(cls)


@MODELS.register_module()
class StrongViews:
    """Another algorithm with CLSA's distribution matching added.

    This builds an instance of a subclass of ``base``. Its checkpoints have
    the keys of ``base`` and those of the memory.

    Args:
        base (str): Registered type of a contrastive algorithm with a
            ``backbone`` and a ``neck``, as 'mmselfsup.BYOL'.
        memory (dict): Config of a :class:`FeatureQueue` as wide as the neck's
            features.
        strong_views (Sequence[int]): Which of the pipeline's views are
            strong. The views before them go to ``base``. Defaults to (2, ).
        key_encoder (str, optional): Attribute of ``base`` that encodes keys,
            such as 'target_net' of BYOL. Defaults to backbone and neck.
        alpha (float): Weight of the matching. Defaults to 1.0.
        matching (dict): Config of the matching's head. Defaults to
            ``dict(type='DistributionMatchingHead')``.
        **options: Arguments of ``base``.

    Raises:
        KeyError: If ``base`` is not registered.
        ValueError: If views, widths or ``key_encoder`` do not fit.
    """

    def __new__(cls, base: str, **options: Any) -> Any:
        algorithm = MODELS.get(base)
        if algorithm is None:
            raise KeyError(
                f'base={base!r} of StrongViews is not registered; name a '
                "contrastive algorithm, as 'mmselfsup.BYOL'")
        return with_strong_views(algorithm)(**options)
