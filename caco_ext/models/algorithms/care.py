# Copyright (c) caco_ext authors. All rights reserved.
from typing import Any, List, Tuple, Union

from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from ..utils import output_width
from .base import BaseMomentumMethod, Encoder


@MODELS.register_module()
class CARE(BaseMomentumMethod):
    """`CARE <https://arxiv.org/abs/2110.05340>`_: an attention stream guides
    a convolutional one.

    Both streams share the backbone up to its second-to-last stage. The
    convolutional stream then goes through the last stage, the attention
    stream through an :class:`AttentionStack`. Each has a projector and, in
    the student, a predictor. The loss is :class:`CAREHead`.

    Args:
        attention (dict): Config of the attention stack. Its input is the
            backbone's second-to-last map.
        attention_neck (dict): Config of the attention stream's projector.
        predictor (dict): Config of the convolutional stream's predictor.
        attention_predictor (dict): Config of the attention stream's
            predictor.
        momentum (float | dict): Defaults to a cosine from 0.99 to 1, by
            iteration.
        **kwargs: Arguments of :class:`BaseMomentumMethod`; there is no memory.
    """

    momentum_modules = ('backbone', 'neck', 'attention', 'attention_neck')

    def __init__(self,
                 *,
                 attention: dict,
                 attention_neck: dict,
                 predictor: dict,
                 attention_predictor: dict,
                 momentum: Union[float, dict] = dict(
                     start=0.99, end=1.0, by_epoch=False),
                 **kwargs: Any) -> None:
        super().__init__(
            momentum=momentum,
            attention=attention,
            attention_neck=attention_neck,
            predictor=predictor,
            attention_predictor=attention_predictor,
            **kwargs)

    def check_widths(self) -> None:
        """Refuse streams of different widths: the loss compares them.

        Raises:
            ValueError: With the option and the widths.
        """
        wanted = output_width(self.neck)
        for name in ('attention_neck', 'predictor', 'attention_predictor'):
            width = output_width(getattr(self, name))
            if width != wanted:
                raise ValueError(
                    f'{name}.out_channels={width} differs from the '
                    f'{wanted} of neck, and all streams of student and '
                    f'teacher are compared; set {name}.out_channels={wanted}')

    def encode(self, images: Tensor,
               encoder: Encoder) -> Tuple[Tensor, Tensor]:
        """Unit vectors of both streams, (N, C) each, float32.

        Args:
            images (Tensor): (N, 3, H, W).
            encoder (nn.Module): The student, which has predictors, or the
                teacher, which has none.
        """
        shared, last = encoder.backbone(images)[-2:]
        streams = [
            encoder.neck((last, )),
            encoder.attention_neck((encoder.attention(shared), ))
        ]
        if encoder is self:
            streams = [
                self.predictor(streams[0]),
                self.attention_predictor(streams[1])
            ]
        cnn, attention = (
            F.normalize(stream[0].float(), dim=1) for stream in streams)
        return cnn, attention

    def compute_losses(self, queries: List[Any], keys: List[Any]) -> dict:
        """The head takes no memory."""
        return self.head(queries, keys, self.pairs)
