"""CLSA's fourteen picture operations on OpenCV, on 8-bit BGR arrays.

Tables, shifts and enhancers give PIL's pixels, or its neighbours by one
level. Rotating and shearing take the nearest pixel as PIL does, but OpenCV
rounds positions to 1/1024 of a pixel, so that some pixels come from the
neighbour of PIL's. ``docs/pipeline.md`` has the figures.
"""
import math
from functools import lru_cache, partial

import cv2
import numpy as np

from . import fast_ops
from .strong_ops import (AFFINE_LIMIT, DEGREES_LIMIT, MAX_MAGNITUDE,
                         enhance_factor, posterize_bits, signed,
                         solarize_threshold)


def _blend(name, img, magnitude, negative):
    return fast_ops.run(img, [(name, enhance_factor(magnitude))])


def _table(img, tables):
    """Look up each channel in a table of its own.

    Args:
        img (np.ndarray): (H, W, 3) uint8.
        tables (list[np.ndarray]): Three of (256, ).

    Returns:
        np.ndarray: (H, W, 3) uint8.
    """
    return cv2.LUT(img, np.stack(tables, -1)[:, None].astype(np.uint8))


def _histograms(img):
    return [
        cv2.calcHist([img], [c], None, [256], [0, 256]).ravel().astype(int)
        for c in range(3)
    ]


def _stretch(histogram):
    """Table that stretches the levels in use to 0 to 255."""
    levels = np.arange(256)
    used = np.flatnonzero(histogram)
    low, high = used[0], used[-1]
    if high <= low:
        return levels
    scale = 255 / (high - low)
    return np.clip((levels * scale - low * scale).astype(int), 0, 255)


def _even_out(histogram):
    """Table that makes the levels about equally frequent, as PIL's."""
    used = np.flatnonzero(histogram)
    step = (histogram.sum() - histogram[used[-1]]) // 255
    if len(used) < 2 or not step:
        return np.arange(256)
    below = np.cumsum(histogram) - histogram
    return np.minimum((step // 2 + below) // step, 255)


def _auto_contrast(img, magnitude, negative):
    return _table(img, [_stretch(h) for h in _histograms(img)])


def _equalize(img, magnitude, negative):
    return _table(img, [_even_out(h) for h in _histograms(img)])


def _identity(img, magnitude, negative):
    return img


def _posterize(img, magnitude, negative):
    return img & np.uint8(0xFF00 >> posterize_bits(magnitude) & 0xFF)


def _solarize(img, magnitude, negative):
    return fast_ops.solarize(img, solarize_threshold(magnitude))


@lru_cache
def _soften(factor):
    """The filter of PIL's SMOOTH, mixed with the picture itself."""
    kernel = np.ones((3, 3), np.float32)
    kernel[1, 1] = 5
    kernel *= (1 - factor) / 13
    kernel[1, 1] += factor
    return kernel


def _sharpness(img, magnitude, negative):
    if min(img.shape[:2]) < 3:
        return img
    out = img.copy()
    # PIL's filters leave the margin as it is
    inner = cv2.filter2D(
        img, -1, _soften(enhance_factor(magnitude)), delta=fast_ops.CUT)
    out[1:-1, 1:-1] = inner[1:-1, 1:-1]
    return out


def _warp(img, matrix):
    """Take each pixel from where the matrix says.

    Args:
        img (np.ndarray): (H, W, 3) uint8.
        matrix (list[list[float]]): 2 x 3; maps a pixel's middle (x + 0.5,
            y + 0.5) to a place in the picture, as PIL's does.

    Returns:
        np.ndarray: (H, W, 3) uint8, black where nothing is.
    """
    matrix = np.array(matrix)
    # OpenCV counts from the middle of the first pixel
    matrix[:, 2] += matrix[:, :2].sum(1) * 0.5 - 0.5
    return cv2.warpAffine(
        img,
        matrix,
        img.shape[1::-1],
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)


def _rotate(img, magnitude, negative):
    degrees = signed(magnitude * DEGREES_LIMIT // MAX_MAGNITUDE, negative)
    cos, sin = (f(math.radians(degrees)) for f in (math.cos, math.sin))
    x, y = img.shape[1] / 2, img.shape[0] / 2
    return _warp(img, [[cos, -sin, x - cos * x + sin * y],
                       [sin, cos, y - sin * x - cos * y]])


def _shear_x(img, magnitude, negative):
    slope = signed(magnitude * AFFINE_LIMIT / MAX_MAGNITUDE, negative)
    return _warp(img, [[1, slope, 0], [0, 1, 0]])


def _shear_y(img, magnitude, negative):
    slope = signed(magnitude * AFFINE_LIMIT / MAX_MAGNITUDE, negative)
    return _warp(img, [[1, 0, 0], [slope, 1, 0]])


def _overlap(shift, size):
    """Where what stays in the picture comes from and goes to."""
    return (slice(max(shift, 0), size + min(shift, 0)),
            slice(max(-shift, 0), size - max(shift, 0)))


def _translate(axis, img, magnitude, negative):
    share = signed(magnitude * AFFINE_LIMIT / MAX_MAGNITUDE, negative)
    size = img.shape[axis]
    source, target = _overlap(int(share * size), size)
    out = np.zeros_like(img)
    if axis:
        out[:, target] = img[:, source]
    else:
        out[target] = img[source]
    return out


OPS = dict(
    AutoContrast=_auto_contrast,
    Brightness=partial(_blend, 'brightness'),
    Color=partial(_blend, 'saturation'),
    Contrast=partial(_blend, 'contrast'),
    Equalize=_equalize,
    Identity=_identity,
    Posterize=_posterize,
    Rotate=_rotate,
    Sharpness=_sharpness,
    ShearX=_shear_x,
    ShearY=_shear_y,
    Solarize=_solarize,
    TranslateX=partial(_translate, 1),
    TranslateY=partial(_translate, 0))


def run(img, plan):
    """Carry out operations, one after another.

    Args:
        img (np.ndarray): (H, W, 3) uint8, BGR; not written into.
        plan (Sequence[tuple[str, int, bool]]): Names, magnitudes and whether
            the sign is negative.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.
    """
    for name, magnitude, negative in plan:
        img = OPS[name](img, magnitude, negative)
    return img
