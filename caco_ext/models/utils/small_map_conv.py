# Copyright (c) caco_ext authors. All rights reserved.
"""A convolution that is fast on maps of a few places."""
from typing import Any, Iterator, Sequence, Tuple

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F


@MODELS.register_module()
class SmallMapConv2d(nn.Conv2d):
    """``nn.Conv2d`` that multiplies matrices on maps of a few places.

    On crops of 32 pixels or less, the last two stages of a ResNet have maps
    of 2 x 2 and 1 x 1; on 64 pixels or less, the last stage has. There more
    than half of a kernel's products are with padding, so they are zero. The
    others form one matrix product in two cases: if the output has one place,
    or if every place of the input reaches every place of the output, as with
    a 3 x 3 kernel on 2 x 2. In all other cases torch convolves. Weights,
    names and initialisation are those of ``nn.Conv2d``; results are equal
    but for rounding.

    Use it by ``backbone=dict(conv_cfg=dict(type='SmallMapConv2d'))``. The
    arguments are those of ``nn.Conv2d``.
    """

    # nn.Conv2d also allows a string here; _is_plain excludes it.
    padding: Tuple[int, int]

    def forward(self, x: Tensor) -> Tensor:
        """Convolve.

        Args:
            x (Tensor): (N, C, H, W).

        Returns:
            Tensor: (N, out_channels, H', W').
        """
        sizes = x.shape[2:]
        if not self._is_plain():
            return super().forward(x)
        if self._ends_in_one_place(sizes):
            return self._to_one_place(x)
        if self._all_places_meet(sizes):
            return self._to_all_places(x)
        return super().forward(x)

    def _is_plain(self) -> bool:
        return (self.groups == 1 and self.dilation == (1, 1)
                and self.padding_mode == 'zeros'
                and not isinstance(self.padding, str))

    def _ends_in_one_place(self, sizes: Sequence[int]) -> bool:
        return all(
            0 <= size + 2 * padding - kernel < stride and padding < kernel
            for size, padding, kernel, stride in zip(
                sizes, self.padding, self.kernel_size, self.stride))

    def _to_one_place(self, x: Tensor) -> Tensor:
        meet = [
            min(size, kernel - padding) for size, kernel, padding in zip(
                x.shape[2:], self.kernel_size, self.padding)
        ]
        top, left = self.padding
        taps = self.weight[..., top:top + meet[0], left:left + meet[1]]
        places = x[..., :meet[0], :meet[1]]
        return F.linear(places.flatten(1), taps.flatten(1),
                        self.bias)[..., None, None]

    def _all_places_meet(self, sizes: Sequence[int]) -> bool:
        """Whether input and output have as many places and all meet.

        They do if the first place reaches the last.
        """
        return self.stride == (1, 1) and all(
            kernel == 2 * padding + 1 and size <= padding + 1
            for size, padding, kernel in zip(sizes, self.padding,
                                             self.kernel_size))

    def _to_all_places(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        matrix = _TapsOfPlaces.apply(self.weight, (height, width),
                                     self.padding)
        # With channels innermost, permute and flatten copy nothing.
        places = x.permute(0, 2, 3, 1).flatten(1)
        out = F.linear(places, matrix).view(len(x), height, width, -1)
        if self.bias is not None:
            out = out + self.bias
        return out.permute(0, 3, 1, 2)


class _TapsOfPlaces(torch.autograd.Function):
    """The kernel's weights between all pairs of places, as one matrix.

    Plain autograd would allocate a gradient of the whole kernel per place.
    """

    @staticmethod
    def windows(
        size: Tuple[int, int], padding: Tuple[int, int]
    ) -> Iterator[Tuple[int, int, Tuple[slice, slice, slice]]]:
        """Yield each place and the part of the kernel that reaches it."""
        for i in range(size[0]):
            for j in range(size[1]):
                top, left = padding[0] - i, padding[1] - j
                yield i, j, (slice(None), slice(top, top + size[0]),
                             slice(left, left + size[1]))

    @staticmethod
    def forward(ctx: Any, weight: Tensor, size: Tuple[int, int],
                padding: Tuple[int, int]) -> Tensor:
        """(C', C, k, k) to (H W C', H W C)."""
        ctx.shape, ctx.size, ctx.padding = weight.shape, size, padding
        taps = weight.permute(0, 2, 3, 1)
        rows = [
            taps[window]
            for _, _, window in _TapsOfPlaces.windows(size, padding)
        ]
        return torch.cat(rows).flatten(1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple:
        """Sum over the places."""
        out_channels, channels, *kernel = ctx.shape
        grad = grad.view(*ctx.size, out_channels, *ctx.size, channels)
        taps = grad.new_zeros(out_channels, *kernel, channels)
        for i, j, window in _TapsOfPlaces.windows(ctx.size, ctx.padding):
            taps[window] += grad[i, j]
        return taps.permute(0, 3, 1, 2), None, None
