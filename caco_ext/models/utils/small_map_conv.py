# Copyright (c) caco_ext authors. All rights reserved.
"""A convolution that is fast where its output has one place."""
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F


@MODELS.register_module()
class SmallMapConv2d(nn.Conv2d):
    """``nn.Conv2d`` that multiplies matrices where its output is 1 x 1.

    The last stage of a ResNet ends in one place where crops have 32 pixels or
    less. The kernel's taps then meet either a place of the map or padding, and
    all products with padding are zero. Those that remain are one matrix
    product; everywhere else the convolution is torch's. Weights, their names
    and their initialisation are those of ``nn.Conv2d``, results are equal but
    for rounding.

    For ``backbone=dict(conv_cfg=dict(type='SmallMapConv2d'))``. Arguments are
    those of ``nn.Conv2d``.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve.

        Args:
            x (Tensor): (N, C, H, W).

        Returns:
            Tensor: (N, out_channels, H', W').
        """
        if not self._ends_in_one_place(x.shape[2:]):
            return super().forward(x)
        meet = [
            min(size, kernel - padding) for size, kernel, padding in zip(
                x.shape[2:], self.kernel_size, self.padding)
        ]
        top, left = self.padding
        taps = self.weight[..., top:top + meet[0], left:left + meet[1]]
        places = x[..., :meet[0], :meet[1]]
        return F.linear(places.flatten(1), taps.flatten(1),
                        self.bias)[..., None, None]

    def _ends_in_one_place(self, sizes) -> bool:
        plain = (
            self.groups == 1 and self.dilation == (1, 1)
            and self.padding_mode == 'zeros'
            and not isinstance(self.padding, str))
        return plain and all(
            0 <= size + 2 * padding - kernel < stride and padding < kernel
            for size, padding, kernel, stride in zip(
                sizes, self.padding, self.kernel_size, self.stride))
