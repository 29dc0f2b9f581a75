"""The steps of views on batches of tensors, on any device.

The loader's workers draw a plan for each picture (``MultiCrop`` with
``on_device=True``). This module carries the plans out for a whole batch. The
plans stay on the CPU. All their numbers go to the device in one copy, so
nothing waits for it.
"""
import math
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from . import device_kinds
from .base import Plan
from .device_kinds import CUT
from .strong_ops import strength

# Numbers of a step, from its value and the size of the pictures.
Encode = Callable[[Any, int, int], Any]
# The order in which the kinds are carried out, as often as the plans need it.
# Each plan takes the next place that fits. The four steps of a jitter fit
# into the first six in any order.
ORDER = ('blend', 'hue', 'blend', 'blend', 'hue', 'blend', 'grey', 'blur',
         'solarize', 'flip', 'warp', 'sharpness', 'blend', 'posterize',
         'solarize', 'autocontrast', 'equalize')


def _brightness(factor: float, *_: int) -> Tuple[float, ...]:
    return factor, 0, 0, CUT


def _contrast(factor: float, *_: int) -> Tuple[float, ...]:
    return factor, 0, 1 - factor, CUT


def _saturation(factor: float, *_: int) -> Tuple[float, ...]:
    return factor, 1 - factor, 0, CUT


def _hue(shift: float, *_: int) -> Tuple[float, ...]:
    # Places of blue, green and red on the trapezium, with blue as origin.
    turn = int(shift * 255) / 255 * 6
    return 5 + turn, 7 + turn, 9 + turn


def _posterize(bits: int, *_: int) -> int:
    return 0xFF00 >> bits & 0xFF


def _warp(make: Callable[[float, int, int], Any], value: float, height: int,
          width: int) -> Tuple[float, ...]:
    return device_kinds.warp_numbers(make(value, height, width), height, width)


def _turn(degrees: float, height: int, width: int) -> List[List[float]]:
    cos, sin = (f(math.radians(degrees)) for f in (math.cos, math.sin))
    x, y = width / 2, height / 2
    return [[cos, -sin, x - cos * x + sin * y],
            [sin, cos, y - sin * x - cos * y]]


def _shear_x(slope: float, *_: int) -> List[List[float]]:
    return [[1, slope, 0], [0, 1, 0]]


def _shear_y(slope: float, *_: int) -> List[List[float]]:
    return [[1, 0, 0], [slope, 1, 0]]


def _shift_x(share: float, height: int, width: int) -> List[List[float]]:
    return [[1, 0, int(share * width)], [0, 1, 0]]


def _shift_y(share: float, height: int, width: int) -> List[List[float]]:
    return [[1, 0, 0], [0, 1, int(share * height)]]


def _value(value: float, *_: int) -> float:
    return value


def _yes(*_: Any) -> int:
    return 1


#: The kind of each step, None for no change, and how its value is encoded.
OPS: Dict[str, Tuple[Optional[str], Encode]] = dict(
    brightness=('blend', _brightness),
    contrast=('blend', _contrast),
    saturation=('blend', _saturation),
    hue=('hue', _hue),
    grey=('grey', _yes),
    blur=('blur', _value),
    solarize=('solarize', _value),
    flip=('flip', _yes),
    AutoContrast=('autocontrast', _yes),
    Brightness=('blend', _brightness),
    Color=('blend', _saturation),
    Contrast=('blend', _contrast),
    Equalize=('equalize', _yes),
    Identity=(None, _value),
    Posterize=('posterize', _posterize),
    Rotate=('warp', partial(_warp, _turn)),
    Sharpness=('sharpness', _value),
    ShearX=('warp', partial(_warp, _shear_x)),
    ShearY=('warp', partial(_warp, _shear_y)),
    Solarize=('solarize', _value),
    TranslateX=('warp', partial(_warp, _shift_x)),
    TranslateY=('warp', partial(_warp, _shift_y)))


def arrange(plans: Sequence[Plan], height: int,
            width: int) -> List[Tuple[str, Dict[int, Any]]]:
    """Arrange the steps of all plans as few changes of the whole batch.

    Args:
        plans (Sequence[Sequence[tuple]]): A plan for each picture.
        height (int): Of the pictures.
        width (int): Likewise.

    Returns:
        list[tuple[str, dict[int, Any]]]: In their order: the kind, and by the
        index of a picture what its step is encoded as.
    """
    places: Dict[int, Dict[int, Any]] = {}
    for i, plan in enumerate(plans):
        place = -1
        for name, value, *sign in plan:
            kind, encode = OPS[name]
            if kind is None:
                continue
            if sign:  # a magnitude of StrongAugment and its direction
                value = strength(name, value, *sign)
            place += 1
            while ORDER[place % len(ORDER)] != kind:
                place += 1
            places.setdefault(place, {})[i] = encode(value, height, width)
    return [(ORDER[place % len(ORDER)], places[place])
            for place in sorted(places)]


def send(numbers: np.ndarray, device: torch.device) -> Tensor:
    """Send an array to the device without waiting for it.

    Args:
        numbers (np.ndarray): The array.
        device (torch.device): The device.

    Returns:
        Tensor: The same numbers there.
    """
    tensor = torch.from_numpy(numbers)
    if device.type == 'cuda':
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


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
    changes = arrange(plans, *images.shape[2:])
    if not changes:
        return images
    numbers = [
        device_kinds.fill(kind, chosen, images) for kind, chosen in changes
    ]
    sizes = [len(part) for part in numbers]
    exact = send(np.concatenate(numbers), images.device)
    parts = (
        tensor.split(sizes) for tensor in (exact, exact.float(), exact.bool()))
    for (kind, _), *values in zip(changes, *parts):
        images = device_kinds.APPLY[kind](images, device_kinds.Values(*values))
    return images
