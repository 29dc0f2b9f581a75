"""The steps of views on batches of tensors, on any device.

The loader's workers draw a plan for each picture (``MultiCrop`` with
``on_device=True``). This module carries the plans out for a whole batch. At
each position of the plans, pictures with the same step go through it
together. The plans stay on the CPU, so it need not wait for the device.
"""
from collections import defaultdict
from functools import partial
from typing import Any, Callable, Dict, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from . import strong_ops
from .base import Plan
from .fast_ops import blur_kernel

# One number for each picture of a batch.
Values = Sequence[float]


def _to(values: Sequence[float],
        device: torch.device,
        dtype: torch.dtype = torch.float32) -> Tensor:
    """Send numbers to the device without waiting for it."""
    numbers = torch.tensor(values, dtype=dtype)
    if device.type == 'cuda':
        numbers = numbers.pin_memory()
    return numbers.to(device, non_blocking=True)


def _column(values: Values, images: Tensor) -> Tensor:
    """One number per picture, (n, 1, 1, 1)."""
    return _to(values, images.device).view(-1, 1, 1, 1)


def _grey(images: Tensor) -> Tensor:
    """(n, 1, H, W) float, whole levels, of (n, 3, H, W) BGR."""
    blue, green, red = images.float().split(1, 1)
    return (0.114 * blue + 0.587 * green + 0.299 * red).round_()


def _cut(images: Tensor) -> Tensor:
    # PIL truncates. The 1e-3 keeps rounding errors from costing a level.
    return images.add_(1e-3).clamp_(0, 255).byte()


def _mix(images: Tensor, uniform: Tensor, factors: Values) -> Tensor:
    return _cut(torch.lerp(uniform, images.float(), _column(factors, images)))


def _brightness(images: Tensor, factors: Values) -> Tensor:
    return _cut(images * _column(factors, images))


def _contrast(images: Tensor, factors: Values) -> Tensor:
    mean = (_grey(images).mean((1, 2, 3), keepdim=True) + 0.5).floor_()
    return _mix(images, mean, factors)


def _saturation(images: Tensor, factors: Values) -> Tensor:
    return _mix(images, _grey(images), factors)


def _hue(images: Tensor, shifts: Values) -> Tensor:
    blue, green, red = images.float().unbind(1)
    largest, at = images.max(1)
    largest = largest.float()
    chroma = largest - images.amin(1).float()
    safe = chroma.clamp_min(1)
    # Hue in sixths of the circle, starting at red. Blue is channel 0.
    sixths = torch.where(
        at == 2, (green - blue) / safe,
        torch.where(at == 1, 2 + (blue - red) / safe,
                    4 + (red - green) / safe))
    turns = [int(shift * 255) / 255 * 6 for shift in shifts]
    sixths = sixths + _column(turns, images)[..., 0]
    channels = []
    for place in (1, 3, 5):  # of blue, green and red on the trapezium
        way = (sixths + place) % 6
        way = torch.minimum(way, 4 - way).clamp_(0, 1)
        channels.append(largest - chroma * way)
    return torch.stack(channels, 1).round_().byte()


def _to_grey(images: Tensor, _: Values) -> Tensor:
    return _grey(images).byte().expand(-1, 3, -1, -1)


def _blur(images: Tensor, sigmas: Values) -> Tensor:
    kernels = [blur_kernel(sigma) for sigma in sigmas]
    half = max(len(kernel) for kernel in kernels) // 2
    taps = torch.zeros(len(kernels), 2 * half + 1)
    for row, kernel in zip(taps, kernels):
        start = half - len(kernel) // 2
        row[start:start + len(kernel)] = torch.from_numpy(kernel)
    taps = _to(taps.tolist(), images.device).repeat_interleave(3, 0)[:, None]
    n, _, height, width = images.shape
    # Each channel of each picture is a separate group.
    planes = images.float().reshape(1, n * 3, height, width)
    planes = F.pad(planes, [half] * 4, mode='replicate')
    planes = F.conv2d(planes, taps[:, :, None], groups=n * 3)
    planes = F.conv2d(planes, taps[..., None], groups=n * 3)
    return planes.view(n, 3, height, width).round_().clamp_(0, 255).byte()


def _solarize(images: Tensor, thresholds: Values) -> Tensor:
    return torch.where(images < _column(thresholds, images), images,
                       255 - images)


def _sharpness(images: Tensor, factors: Values) -> Tensor:
    kernel = torch.ones(3, 3, device=images.device)
    kernel[1, 1] = 5
    kernel = (kernel / 13).expand(3, 1, 3, 3)
    soft = images.float()
    # PIL's filters do not change the margin.
    soft[:, :, 1:-1, 1:-1] = F.conv2d(soft, kernel, groups=3).round_()
    return _mix(images, soft, factors)


def _posterize(images: Tensor, bits: Sequence[int]) -> Tensor:
    masks = [0xFF00 >> kept & 0xFF for kept in bits]
    return images & _to(masks, images.device, torch.uint8).view(-1, 1, 1, 1)


def _grouped(step: Callable[[Tensor, float], Tensor], images: Tensor,
             values: Values) -> Tensor:
    """Call a step that takes one value, once for each value in a batch."""
    out = images.clone()
    for value in sorted(set(values)):
        where = _to([i for i, one in enumerate(values) if one == value],
                    images.device, torch.long)
        out[where] = step(images[where], value)
    return out


def _translate(axis: int, images: Tensor, share: float) -> Tensor:
    size = images.shape[2 + axis]
    shift = int(share * size)
    moved = torch.zeros_like(images)
    kept = size - abs(shift)
    if kept:
        moved.narrow(2 + axis, max(-shift, 0),
                     kept).copy_(images.narrow(2 + axis, max(shift, 0), kept))
    return moved


def _shear(axis: int, images: Tensor, slope: float) -> Tensor:
    """Shift every row (or column) by a whole number of pixels, as PIL does."""
    if axis == 0:
        return _shear(1, images.transpose(2, 3), slope).transpose(2, 3)
    _, _, height, width = images.shape
    rows = torch.arange(height, device=images.device)[:, None]
    columns = torch.arange(width, device=images.device)
    # From the middle of a pixel, in double precision, to avoid ties.
    source = (columns + 0.5 + slope * (rows + 0.5).double()).floor().long()
    inside = (source >= 0) & (source < width)
    source = source.clamp(0, width - 1).expand_as(images)
    return images.gather(3, source) * inside


OPS: Dict[str, Callable[[Tensor, Any], Tensor]] = dict(
    brightness=_brightness,
    contrast=_contrast,
    saturation=_saturation,
    hue=_hue,
    grey=_to_grey,
    blur=_blur,
    solarize=_solarize,
    flip=lambda images, _: images.flip(-1),
    AutoContrast=lambda images, _: tv.autocontrast(images),
    Brightness=_brightness,
    Color=_saturation,
    Contrast=_contrast,
    Equalize=lambda images, _: tv.equalize(images),
    Identity=lambda images, _: images,
    Posterize=_posterize,
    Rotate=partial(_grouped, tv.rotate),
    Sharpness=_sharpness,
    ShearX=partial(_grouped, partial(_shear, 1)),
    ShearY=partial(_grouped, partial(_shear, 0)),
    Solarize=_solarize,
    TranslateX=partial(_grouped, partial(_translate, 1)),
    TranslateY=partial(_grouped, partial(_translate, 0)))


def run(images: Tensor, plans: Sequence[Plan]) -> Tensor:
    """Carry out a plan for each picture of a batch.

    Args:
        images (Tensor): (N, 3, H, W) uint8, BGR; not written into.
        plans (Sequence[Sequence[tuple]]): For each picture the steps that
            ``RandomStep.plan`` and ``StrongAugment.plan`` drew.

    Returns:
        Tensor: (N, 3, H, W) uint8, BGR.

    Raises:
        ValueError: If there is not one plan for each picture.
    """
    if len(plans) != len(images):
        raise ValueError(f'{len(plans)} plans do not fit {len(images)} '
                         'pictures; pack view_plans with every picture')
    images = images.clone()
    for place in range(max(map(len, plans), default=0)):
        groups: Dict[str, list] = defaultdict(list)
        for i, plan in enumerate(plans):
            if place < len(plan):
                name, *value = plan[place]
                if name in strong_ops.OPS:
                    value = [strong_ops.strength(name, *value)]
                groups[name].append((i, *value))
        for name, members in groups.items():
            places, values = zip(*members)
            where = _to(places, images.device, torch.long)
            chosen = images.index_select(0, where)
            images.index_copy_(0, where, OPS[name](chosen, values))
    return images
