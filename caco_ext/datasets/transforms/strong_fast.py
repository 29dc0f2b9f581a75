"""CLSA's fourteen picture operations with OpenCV, on 8-bit BGR arrays.

Tables, shifts and enhancers give PIL's pixels, or differ by one level.
Rotating and shearing take the nearest pixel as PIL does. But OpenCV rounds
positions to 1/1024 of a pixel, so some pixels come from a neighbour of PIL's
choice. ``docs/pipeline.md`` has the figures.
"""
import math
from functools import lru_cache, partial
from typing import Any, Callable, Dict, Sequence

import cv2
import numpy as np

from . import fast_ops
from .base import Plan
from .strong_ops import strength

Matrix = Sequence[Sequence[float]]


def _blend(name: str, img: np.ndarray, factor: float) -> np.ndarray:
    return fast_ops.run(img, [(name, factor)])


def _by_table(make: Callable[[np.ndarray], np.ndarray], img: np.ndarray,
              _: Any) -> np.ndarray:
    """Apply to each channel the table, (256, ), made from its histogram."""
    tables = [
        make(
            cv2.calcHist([img], [c], None, [256],
                         [0, 256]).ravel().astype(int)) for c in range(3)
    ]
    return cv2.LUT(img, np.stack(tables, -1)[:, None].astype(np.uint8))


def _stretch(histogram: np.ndarray) -> np.ndarray:
    """Table that stretches the used levels to 0..255."""
    levels = np.arange(256)
    used = np.flatnonzero(histogram)
    low, high = used[0], used[-1]
    if high <= low:
        return levels
    scale = 255 / (high - low)
    return np.clip((levels * scale - low * scale).astype(int), 0, 255)


def _even_out(histogram: np.ndarray) -> np.ndarray:
    """Table that makes the levels about equally frequent, as PIL's."""
    used = np.flatnonzero(histogram)
    step = (histogram.sum() - histogram[used[-1]]) // 255
    if len(used) < 2 or not step:
        return np.arange(256)
    below = np.cumsum(histogram) - histogram
    return np.minimum((step // 2 + below) // step, 255)


@lru_cache
def _soften(factor: float) -> np.ndarray:
    """The filter of PIL's SMOOTH, blended with the identity."""
    kernel = np.ones((3, 3), np.float32)
    kernel[1, 1] = 5
    kernel *= (1 - factor) / 13
    kernel[1, 1] += factor
    return kernel


def _sharpness(img: np.ndarray, factor: float) -> np.ndarray:
    if min(img.shape[:2]) < 3:
        return img
    out = img.copy()
    # PIL's filters do not change the margin.
    inner = cv2.filter2D(img, -1, _soften(factor), delta=fast_ops.CUT)
    out[1:-1, 1:-1] = inner[1:-1, 1:-1]
    return out


def _warp(img: np.ndarray, matrix: Matrix) -> np.ndarray:
    """Take each pixel from where the matrix says, black outside the picture.

    As in PIL, the 2 x 3 matrix maps the middle of a pixel, (x + 0.5, y + 0.5),
    to a position in the picture.
    """
    way = np.array(matrix)
    # OpenCV counts from the middle of the first pixel.
    way[:, 2] += way[:, :2].sum(1) * 0.5 - 0.5
    return cv2.warpAffine(
        img,
        way,
        img.shape[1::-1],
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)


def _rotate(img: np.ndarray, degrees: float) -> np.ndarray:
    cos, sin = (f(math.radians(degrees)) for f in (math.cos, math.sin))
    x, y = img.shape[1] / 2, img.shape[0] / 2
    return _warp(img, [[cos, -sin, x - cos * x + sin * y],
                       [sin, cos, y - sin * x - cos * y]])


def _translate(axis: int, img: np.ndarray, share: float) -> np.ndarray:
    size = img.shape[axis]
    shift = int(share * size)
    source = slice(max(shift, 0), size + min(shift, 0))
    target = slice(max(-shift, 0), size - max(shift, 0))
    out = np.zeros_like(img)
    if axis:
        out[:, target] = img[:, source]
    else:
        out[target] = img[source]
    return out


OPS: Dict[str, Callable[[np.ndarray, Any], np.ndarray]] = dict(
    AutoContrast=partial(_by_table, _stretch),
    Brightness=partial(_blend, 'brightness'),
    Color=partial(_blend, 'saturation'),
    Contrast=partial(_blend, 'contrast'),
    Equalize=partial(_by_table, _even_out),
    Identity=lambda img, _: img,
    Posterize=lambda img, bits: img & np.uint8(0xFF00 >> bits & 0xFF),
    Rotate=_rotate,
    Sharpness=_sharpness,
    ShearX=lambda img, slope: _warp(img, [[1, slope, 0], [0, 1, 0]]),
    ShearY=lambda img, slope: _warp(img, [[1, 0, 0], [slope, 1, 0]]),
    Solarize=fast_ops.solarize,
    TranslateX=partial(_translate, 1),
    TranslateY=partial(_translate, 0))


def run(img: np.ndarray, plan: Plan) -> np.ndarray:
    """Carry out operations, one after another.

    Args:
        img (np.ndarray): (H, W, 3) uint8, BGR; not written into.
        plan (Sequence[tuple[str, int, bool]]): Names, magnitudes and whether
            the sign is negative.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.
    """
    for step in plan:
        img = OPS[step[0]](img, strength(*step))
    return img
