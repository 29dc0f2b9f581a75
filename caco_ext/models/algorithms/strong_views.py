# Copyright (c) caco_ext authors. All rights reserved.
from operator import attrgetter
from typing import Dict, List, Optional, Sequence

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from caco_ext.ops import gather
from ..utils import call_after_step


class _StrongViews:
    """What :func:`StrongViews` puts in front of another algorithm's class."""

    def add_strong_views(self, memory: dict, matching: dict, alpha: float,
                         strong_views: Sequence[int],
                         key_encoder: Optional[str]) -> None:
        """Build what the matching needs; see :func:`StrongViews`."""
        self.memory = MODELS.build(memory)
        self.matching = MODELS.build(matching)
        self.alpha = alpha
        self.strong_views = tuple(strong_views)
        self.key_encoder_name = key_encoder
        call_after_step(self)

    @property
    def num_views(self) -> int:
        """Views that the pipeline has to make of each picture."""
        return 1 + max(self.strong_views)

    def _encode(self, images: Tensor, name: Optional[str] = None) -> Tensor:
        if name is None:
            features = self.neck(self.backbone(images))
        else:
            features = attrgetter(name)(self)(images)
        return F.normalize(features[0].float(), dim=1)

    def loss(self,
             inputs: List[Tensor],
             data_samples=None,
             **kwargs) -> Dict[str, Tensor]:
        """The algorithm's losses of the first views and the matching."""
        if len(inputs) != self.num_views:
            raise ValueError(
                f'the pipeline makes {len(inputs)} views of a picture and '
                f'strong_views={self.strong_views} needs {self.num_views}; '
                'change num_views of the MultiCrop transform or strong_views')
        if next(self.backbone.parameters()).grad is None:
            self.memory.discard()  # of a step that a loss scaler skipped
        losses = super().loss(inputs[:min(self.strong_views)], data_samples,
                              **kwargs)
        strong = [self._encode(inputs[view]) for view in self.strong_views]
        with torch.no_grad():
            weak = self._encode(inputs[0])
            keys = gather(self._encode(inputs[1], self.key_encoder_name))
        with torch.autocast(keys.device.type, enabled=False):
            found = list(
                zip(*(part.split(len(weak)) for part in self.memory.attend(
                    torch.cat([weak, *strong]), self.matching.temperature))))
            losses['loss_matching'] = self.alpha * self.matching(
                [weak], strong, keys, found[:1], found[1:])
        if torch.is_grad_enabled():
            self.memory.stage(keys)
        return losses

    def after_step(self) -> None:
        """The optimizer has moved the model: the keys enter the queue."""
        self.memory.step()


@MODELS.register_module()
def StrongViews(base: str,
                memory: dict,
                strong_views: Sequence[int] = (2, ),
                key_encoder: Optional[str] = None,
                alpha: float = 1.0,
                matching: dict = dict(type='DistributionMatchingHead'),
                **options) -> nn.Module:
    """Another algorithm with CLSA's distribution matching added.

    The distribution of view 0 over the keys of view 1 and a queue of earlier
    keys supervises the strong views. The result is an instance of a subclass
    of ``base``, so its checkpoints have the same keys, and the memory's.

    Args:
        base (str): Registered type of a contrastive algorithm with a
            ``backbone`` and a ``neck``, as 'mmselfsup.BYOL'.
        memory (dict): Config of a :class:`FeatureQueue` as wide as the neck's
            features.
        strong_views (Sequence[int]): Strong ones among the pipeline's views;
            those before the first go to ``base``. Defaults to (2, ).
        key_encoder (str, optional): Attribute of ``base`` that encodes keys,
            as 'target_net' of BYOL. Defaults to backbone and neck.
        alpha (float): Weight of the matching. Defaults to 1.0.
        matching (dict): Config of the matching's head.
        **options: Of ``base``.

    Returns:
        nn.Module: The algorithm.

    Raises:
        KeyError: If ``base`` is not registered.
    """
    algorithm = MODELS.get(base)
    if algorithm is None:
        raise KeyError(f'base={base!r} of StrongViews is not registered; name '
                       "a contrastive algorithm, as 'mmselfsup.BYOL'")
    joined = type(f'StrongViews{algorithm.__name__}',
                  (_StrongViews, algorithm), {})
    model = joined(**options)
    model.add_strong_views(memory, matching, alpha, strong_views, key_encoder)
    return model
