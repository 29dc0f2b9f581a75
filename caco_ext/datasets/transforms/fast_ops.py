"""The colour steps of a view with OpenCV, several of them in one pass.

PIL, the reference, takes up to ten times as long. The tests check that every
operation stays within the bounds in docs/pipeline.md.
"""
import math
from functools import lru_cache
from typing import Any, Callable, Dict

import cv2
import numpy as np

from .base import Plan

# PIL truncates where OpenCV rounds.
CUT = -0.499
# 3 x 4 matrices of BGR: the pixel, and its grey by PIL's weights
_SAME = np.eye(3, 4, dtype=np.float32)
_GREY = np.array([[0.114, 0.587, 0.299, 0]] * 3, np.float32)
# Outer taps of a blur below this share matter less than rounding.
_LEAST_TAP = 0.005
# Up to so many pixels, two large calls are faster than forty small ones.
_SMALL = 96**2
# x, y and z of turn_hue, in BGR
_FORWARD = ((0, 2, 1), (1, 0, 2), (2, 1, 0))
_BACKWARD = ((0, 1, 2), (1, 2, 0), (2, 0, 1))


def _grey(img: np.ndarray) -> np.ndarray:
    """Grey picture, (H, W), with PIL's weights."""
    return cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)


def _to_grey(img: np.ndarray, _: float) -> np.ndarray:
    """Grey picture of three channels."""
    return cv2.cvtColor(_grey(img), cv2.COLOR_GRAY2BGR)


class _Blend:
    """Brightness, contrast and saturation, combined where possible.

    Each maps a pixel x to f x + (1 - f) y, where y is black, the mean grey of
    the picture or the grey of the pixel. This is a 3 x 4 matrix. With f of at
    most 1, results stay in 0 to 255. Then the matrices of several steps can
    be multiplied; only rounding in between is lost. With a larger f, values
    must be clipped before the next step, so the step is carried out at once.

    Args:
        img (np.ndarray): (H, W, 3) uint8, BGR.
    """

    def __init__(self, img: np.ndarray) -> None:
        self.img = img
        self._clear()

    def _clear(self) -> None:
        # The pending steps: img * scale + (its grey) * mix + shift.
        self.scale, self.mix, self.shift = 1., 0., 0.
        self.idle = True

    def add(self, name: str, factor: float) -> None:
        """Add a step; factor 0 gives the uniform y, 1 changes nothing."""
        if name == 'contrast':
            level = self._mean_grey()
        # The weights of grey sum to 1, so the grey of scale * x + mix *
        # grey(x) + shift is (scale + mix) * grey(x) + shift.
        if name == 'saturation':
            self.mix += (1 - factor) * self.scale
            self.scale *= factor
        else:
            self.scale *= factor
            self.mix *= factor
            self.shift *= factor
        if name == 'contrast':
            self.shift += level * (1 - factor)
        self.shift += CUT
        self.idle = False
        if factor > 1:
            self.flush()

    def _mean_grey(self) -> int:
        """Mean grey of the picture after the pending steps."""
        mean = cv2.mean(_grey(self.img))[0]
        return int((self.scale + self.mix) * mean + self.shift + 0.5)

    def flush(self) -> np.ndarray:
        """Carry out the pending steps; return (H, W, 3) uint8, BGR."""
        if self.idle:
            return self.img
        if self.mix:
            matrix = self.scale * _SAME + self.mix * _GREY
            matrix[:, 3] = self.shift
            self.img = cv2.transform(self.img, matrix)
        elif self.shift < CUT:
            # convertScaleAbs would make negative values positive.
            self.img = cv2.addWeighted(self.img, self.scale, self.img, 0,
                                       self.shift)
        else:
            self.img = cv2.convertScaleAbs(
                self.img, alpha=self.scale, beta=self.shift)
        self._clear()
        return self.img


def turn_hue(img: np.ndarray, shift: float) -> np.ndarray:
    """Turn the hue.

    Around the colour circle, each channel follows a trapezium between the
    pixel's least and largest value. A turn by d sixths of the circle shifts a
    channel x along it. Let y be the channel behind, z the one ahead and
    c = largest - least. Then

        x' = least + min(max(x - y + s, 0), c),
        s = d c where z > y, c - d c elsewhere.

    This needs no colour space and only 8-bit operations. Larger turns are
    made of several of at most a sixth. Small pictures go through OpenCV's
    HSV, which takes fewer calls.

    Args:
        img (np.ndarray): (H, W, 3) uint8, BGR.
        shift (float): Share of the colour circle, -0.5 to 0.5.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.
    """
    steps = int(shift * 255)  # PIL's
    if img.shape[0] * img.shape[1] <= _SMALL:
        hsv: Any = cv2.cvtColor(img, cv2.COLOR_BGR2HSV_FULL)
        # 8-bit hue wraps around at the end of the circle.
        hsv[..., 0] += np.uint8(steps % 256)
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR_FULL)
    sixths = steps / 255 * 6
    if not sixths:
        return img
    planes = cv2.split(img)
    largest = np.maximum(np.maximum(*planes[:2]), planes[2])
    least = np.minimum(np.minimum(*planes[:2]), planes[2])
    chroma = largest - least
    order = _FORWARD if sixths > 0 else _BACKWARD
    turns = math.ceil(abs(sixths))
    ahead = cv2.convertScaleAbs(chroma, alpha=abs(sixths) / turns)
    behind = chroma - ahead
    change = ahead - behind  # wraps, and wraps back when it is added
    for _ in range(turns):
        new = []
        for places in order:
            x, y, z = (planes[place] for place in places)
            s: Any = cv2.compare(z, y, cv2.CMP_GT)
            s &= change
            s += behind
            value: Any = cv2.add(
                cv2.subtract(s, cv2.subtract(y, x)), cv2.subtract(x, y))
            value = np.minimum(value, chroma)
            value += least
            new.append(value)
        planes = new
    return cv2.merge(planes)


def blur_kernel(sigma: float) -> np.ndarray:
    """The filter that PIL's ``GaussianBlur`` amounts to.

    PIL blurs three times with a box whose outermost weights are a fraction.
    A box of half width l with outer weights a has the variance
    (l (l + 1) (2 l + 1) / 3 + 2 a (l + 1)^2) / (2 l + 1 + 2 a); three of them
    must add up to sigma^2.

    Args:
        sigma (float): Standard deviation, PIL's radius.

    Returns:
        np.ndarray: (K, ) float64 with sum 1, K odd.
    """
    variance = sigma**2 / 3
    # The widest box of whole pixels that is not too wide.
    half = int((math.sqrt(1 + 12 * variance) - 1) / 2)
    outer = (2 * half + 1) * (variance - half *
                              (half + 1) / 3) / (2 *
                                                 ((half + 1)**2 - variance))
    box = np.ones(2 * half + 3)
    box[[0, -1]] = outer
    box /= box.sum()
    return np.convolve(np.convolve(box, box), box)


def short_kernel(sigma: float) -> np.ndarray:
    """:func:`blur_kernel` without negligible outer taps.

    Args:
        sigma (float): Standard deviation, PIL's radius.

    Returns:
        np.ndarray: (K, ) float32 with sum 1, K odd.
    """
    kernel = blur_kernel(sigma)
    while kernel[0] < _LEAST_TAP:
        kernel = kernel[1:-1]
    # Divided before rounding: OpenCV uses its 8-bit filter only if the
    # 32-bit numbers sum to 1.
    return (kernel / kernel.sum()).astype(np.float32)


def _blur(img: np.ndarray, sigma: float) -> np.ndarray:
    """Blur as PIL's ``GaussianBlur`` does."""
    kernel = short_kernel(sigma)
    if len(kernel) == 1:
        return img
    return cv2.sepFilter2D(
        img, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)


@lru_cache
def _solarize_table(threshold: int) -> np.ndarray:
    """Table of :func:`solarize`, (256, ) uint8."""
    levels = np.arange(256)
    return np.where(levels < threshold, levels, 255 - levels).astype(np.uint8)


def solarize(img: np.ndarray, threshold: int) -> np.ndarray:
    """Invert all levels at or above a threshold.

    Args:
        img (np.ndarray): (H, W, 3) uint8.
        threshold (int): The lowest level that is inverted.

    Returns:
        np.ndarray: (H, W, 3) uint8.
    """
    return cv2.LUT(img, _solarize_table(threshold))


def _flip(img: np.ndarray, _: float) -> np.ndarray:
    """Mirror, left to right."""
    return cv2.flip(img, 1)


BLENDS = frozenset(('brightness', 'contrast', 'saturation'))
OPS: Dict[str, Callable[[np.ndarray, Any], np.ndarray]] = dict(
    hue=turn_hue, grey=_to_grey, blur=_blur, solarize=solarize, flip=_flip)


def run(img: np.ndarray, plan: Plan) -> np.ndarray:
    """Carry out the steps of a plan.

    Args:
        img (np.ndarray): (H, W, 3) uint8, BGR; not written into.
        plan (Sequence[tuple[str, float]]): Names and values.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.
    """
    blend = _Blend(img)
    for name, value in plan:
        if name in BLENDS:
            blend.add(name, value)
        else:
            blend = _Blend(OPS[name](blend.flush(), value))
    return blend.flush()
