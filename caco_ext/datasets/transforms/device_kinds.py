"""What :mod:`.device_ops` does to a batch of pictures, without waiting.

A *kind* changes all pictures of a batch at once, each by numbers of its own.
Every kind has numbers that leave a picture as it is. So pictures without the
step take part, which needs fewer kernels than choosing the others: brightness,
contrast and saturation are one kind, as are shifts, shears and turns.
"""
from typing import Any, Callable, Dict, NamedTuple, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from .fast_ops import blur_kernel

# PIL truncates. This keeps rounding errors from costing a level.
CUT = 1e-3
# PIL's positions have 16 binary places.
_PLACES = 1 << 16


class Values(NamedTuple):
    """Numbers of a kind on the device, one after another.

    Attributes:
        exact (Tensor): As float64.
        numbers (Tensor): As float32.
        flags (Tensor): Whether they are not zero.
    """
    exact: Tensor
    numbers: Tensor
    flags: Tensor


def _columns(values: Tensor, images: Tensor) -> Tuple[Tensor, ...]:
    """Each number of a kind for all pictures, (n, 1, 1, 1)."""
    return values.view(len(images), -1, 1, 1, 1).unbind(1)


def _grey(images: Tensor) -> Tensor:
    """(n, 1, H, W) float, whole levels, of (n, 3, H, W) BGR."""
    blue, green, red = images.split(1, 1)
    grey = (blue * 0.114).add_(green, alpha=0.587).add_(red, alpha=0.299)
    return grey.round_()


def _blend(images: Tensor, values: Values) -> Tensor:
    """Weighted sum of the picture, its grey and its mean grey."""
    own, grey, mean, cut = _columns(values.numbers, images)
    levels = _grey(images)
    uniform = torch.addcmul(cut, mean,
                            levels.mean((1, 2, 3), keepdim=True).round_())
    uniform = torch.addcmul(uniform, grey, levels)
    return torch.addcmul(uniform, own, images).clamp_(0, 255).byte()


def _hue(images: Tensor, values: Values) -> Tensor:
    # The half rounds where the result is cut off at the end.
    levels = images + 0.5
    largest, at = levels.max(1, keepdim=True)
    chroma = largest - levels.amin(1, keepdim=True)
    # Hue in sixths of the circle, starting at red: the difference of the two
    # channels behind the largest one, the cross product with grey.
    ahead = torch.linalg.cross(torch.ones_like(levels[:1]), levels, dim=1)
    sixths = ahead.gather(1, at).div_(chroma.clamp_min(1))
    sixths = sixths.sub_(at, alpha=2)  # blue is channel 0
    # The channels' places on the trapezium.
    turns = values.numbers.view(-1, 3, 1, 1)
    way = (sixths + turns).remainder_(6)
    way = torch.minimum(way, 4 - way).clamp_(0, 1)
    return torch.addcmul(largest, chroma, way, value=-1).byte()


def _to_grey(images: Tensor, values: Values) -> Tensor:
    return torch.where(
        _columns(values.flags, images)[0],
        _grey(images).byte(), images)


def _blur(images: Tensor, values: Values) -> Tensor:
    n, channels, height, width = images.shape
    # Each channel of each picture is a separate group.
    groups = n * channels
    taps = values.numbers.view(groups, 1, 1, -1)
    half = taps.size(-1) // 2
    # The half rounds where the result is cut off at the end.
    planes = (images + 0.5).reshape(1, groups, height, width)
    planes = F.pad(planes, [half] * 4, mode='replicate')
    planes = F.conv2d(planes, taps, groups=groups)
    planes = F.conv2d(planes, taps.transpose(2, 3), groups=groups)
    return planes.view(images.shape).byte()


def _solarize(images: Tensor, values: Values) -> Tensor:
    return torch.where(images < _columns(values.numbers, images)[0], images,
                       255 - images)


def _flip(images: Tensor, values: Values) -> Tensor:
    return torch.where(
        _columns(values.flags, images)[0], images.flip(-1), images)


def _warp(images: Tensor, values: Values) -> Tensor:
    """Take each pixel from where a matrix says, black outside."""
    n, channels, height, width = images.shape
    across, down, shift, last = values.exact.view(n, 4, 2, 1, 1).unbind(1)
    rows, columns = (
        torch.arange(size, dtype=shift.dtype, device=images.device)
        for size in (height, width))
    # (n, 2, height, width): column and row of each pixel's source in a
    # picture with a black margin of one pixel.
    source = torch.addcmul(shift, down, rows[:, None])
    source = torch.addcmul(source, across, columns).floor_()
    x, y = torch.minimum(source, last).clamp_(min=0).unbind(1)
    source = torch.add(x, y, alpha=width + 2).long().view(n, 1, -1)
    margin = F.pad(images, [1] * 4).flatten(2)
    return margin.gather(2, source.expand(-1, channels, -1)).view(images.shape)


def _sharpness(images: Tensor, values: Values) -> Tensor:
    if min(images.shape[2:]) < 3:
        return images
    # PIL's filters do not change the margin.
    inner = images[:, :, 1:-1, 1:-1].float()
    soft = F.avg_pool2d(images.float(), 3, 1, divisor_override=13)
    soft = soft.add_(inner, alpha=4 / 13).round_()
    factors = _columns(values.numbers, images)[0]
    out = images.clone()
    out[:, :, 1:-1, 1:-1] = torch.lerp(soft, inner,
                                       factors).add_(CUT).clamp_(0, 255)
    return out


def _posterize(images: Tensor, values: Values) -> Tensor:
    return images & _columns(values.numbers, images)[0].byte()


def _autocontrast(images: Tensor, values: Values) -> Tensor:
    least = images.amin((2, 3), keepdim=True)
    span = images.amax((2, 3), keepdim=True) - least
    stretched = ((images - least) * (255 / span)).add_(CUT).byte()
    chosen = span.bool() & _columns(values.flags, images)[0]
    return torch.where(chosen, stretched, images)


def _equalize(images: Tensor, values: Values) -> Tensor:
    return torch.where(
        _columns(values.flags, images)[0], tv.equalize(images), images)


#: The changes by name: of (n, 3, H, W) uint8 BGR and the kind's ``Values``.
APPLY: Dict[str, Callable[[Tensor, Values], Tensor]] = dict(
    blend=_blend,
    hue=_hue,
    grey=_to_grey,
    blur=_blur,
    solarize=_solarize,
    flip=_flip,
    warp=_warp,
    sharpness=_sharpness,
    posterize=_posterize,
    autocontrast=_autocontrast,
    equalize=_equalize)
# The numbers of a picture that stays as it is.
_NEUTRAL: Dict[str, Tuple[float, ...]] = dict(
    blend=(1, 0, 0, CUT),
    hue=(5, 7, 9),
    grey=(0, ),
    solarize=(256, ),
    flip=(0, ),
    sharpness=(1, ),
    posterize=(255, ),
    autocontrast=(0, ),
    equalize=(0, ))


def warp_numbers(matrix: Any, height: int, width: int) -> Tuple[float, ...]:
    """Numbers of the kind 'warp'.

    Args:
        matrix (Sequence[Sequence[float]]): 2 x 3. It maps the middle of a
            pixel, (x + 0.5, y + 0.5), to a position in the picture, as PIL's.
        height (int): Of the pictures.
        width (int): Likewise.

    Returns:
        tuple[float]: Eight numbers.
    """
    way = np.array(matrix, float)
    way[:, 2] += way[:, :2].sum(1) * 0.5
    way = np.round(way * _PLACES) / _PLACES
    way[:, 2] += 1  # the margin
    return (*way.T.ravel().tolist(), width + 1, height + 1)


def fill(kind: str, chosen: Dict[int, Any], images: Tensor) -> np.ndarray:
    """Put the numbers of all pictures of a batch together.

    Args:
        kind (str): One of ``APPLY``.
        chosen (dict[int, Any]): By the index of a picture: its numbers; for
            'blur' the radius.
        images (Tensor): The pictures, (n, 3, H, W).

    Returns:
        np.ndarray: float64, one-dimensional.
    """
    n, channels, height, width = images.shape
    if kind == 'blur':
        kernels = {i: blur_kernel(sigma) for i, sigma in chosen.items()}
        size = max(map(len, kernels.values()))
        taps = np.zeros((n, channels, size))
        taps[:, :, size // 2] = 1
        for i, kernel in kernels.items():
            start = (size - len(kernel)) // 2
            taps[i] = 0
            taps[i, :, start:start + len(kernel)] = kernel
        return taps.ravel()
    neutral = _NEUTRAL.get(kind) or warp_numbers([[1, 0, 0], [0, 1, 0]],
                                                 height, width)
    numbers = np.tile(np.array(neutral, float), (n, 1))
    for i, own in chosen.items():
        numbers[i] = own
    return numbers.ravel()
