"""CLSA's fourteen picture operations, on 8-bit RGB pictures.

Source: Wang and Qi, Contrastive Learning with Stronger Augmentations, 2021,
appendix. They resample to the nearest pixel, fill with black and keep the
size.
"""
from typing import Any, Callable, Dict

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from .base import Plan
from .pil_bridge import to_bgr, to_pil

MAX_MAGNITUDE = 10
# Limits at that magnitude: slope of shears and share of the size of shifts;
# degrees of turns.
AFFINE_LIMIT = 0.3
DEGREES_LIMIT = 30


def enhance_factor(magnitude: int) -> float:
    """Factor of the enhancers, 0.05 to 0.95: darker, greyer or flatter."""
    return magnitude * 0.9 / MAX_MAGNITUDE + 0.05


def posterize_bits(magnitude: int) -> int:
    """Bits that Posterize keeps, 4 to 8."""
    return magnitude * 4 // MAX_MAGNITUDE + 4


def solarize_threshold(magnitude: int) -> int:
    """Lowest level that Solarize inverts, 256 to 0."""
    return 256 - magnitude * 256 // MAX_MAGNITUDE


def _degrees(magnitude: int) -> int:
    return magnitude * DEGREES_LIMIT // MAX_MAGNITUDE


def _share(magnitude: int) -> float:
    """Slope of a shear, and the share of the size of a shift."""
    return magnitude * AFFINE_LIMIT / MAX_MAGNITUDE


# How a magnitude becomes a strength. Other operations have no strength.
_STRENGTHS: Dict[str, Callable[[int], float]] = dict(
    Brightness=enhance_factor,
    Color=enhance_factor,
    Contrast=enhance_factor,
    Posterize=posterize_bits,
    Rotate=_degrees,
    Sharpness=enhance_factor,
    ShearX=_share,
    ShearY=_share,
    Solarize=solarize_threshold,
    TranslateX=_share,
    TranslateY=_share)


def strength(name: str, magnitude: int, negative: bool = False) -> float:
    """Strength of an operation at a magnitude.

    Args:
        name (str): One of ``OPS``.
        magnitude (int): 0 to 10.
        negative (bool): The other direction, for ``SIGNED_OPS``. Defaults to
            False.

    Returns:
        float: A factor, bits, a threshold, degrees, a slope, or a share of
        the size. For operations without a strength, the magnitude.
    """
    value = _STRENGTHS.get(name, float)(magnitude)
    return -value if negative and name in SIGNED_OPS else value


def _affine(picture: Image.Image, *coefficients: float) -> Image.Image:
    return picture.transform(picture.size, Image.Transform.AFFINE,
                             coefficients)


OPS: Dict[str, Callable[[Image.Image, Any], Image.Image]] = dict(
    AutoContrast=lambda picture, _: ImageOps.autocontrast(picture),
    Brightness=lambda picture, f: ImageEnhance.Brightness(picture).enhance(f),
    Color=lambda picture, f: ImageEnhance.Color(picture).enhance(f),
    Contrast=lambda picture, f: ImageEnhance.Contrast(picture).enhance(f),
    Equalize=lambda picture, _: ImageOps.equalize(picture),
    Identity=lambda picture, _: picture,
    Posterize=ImageOps.posterize,
    Rotate=lambda picture, degrees: picture.rotate(degrees),
    Sharpness=lambda picture, f: ImageEnhance.Sharpness(picture).enhance(f),
    ShearX=lambda picture, slope: _affine(picture, 1, slope, 0, 0, 1, 0),
    ShearY=lambda picture, slope: _affine(picture, 1, 0, 0, slope, 1, 0),
    Solarize=ImageOps.solarize,
    TranslateX=lambda picture, share: _affine(
        picture, 1, 0, int(share * picture.width), 0, 1, 0),
    TranslateY=lambda picture, share: _affine(picture, 1, 0, 0, 0, 1,
                                              int(share * picture.height)))
# operations that have a direction
SIGNED_OPS = frozenset(
    ('Rotate', 'ShearX', 'ShearY', 'TranslateX', 'TranslateY'))


def run(img: np.ndarray, plan: Plan) -> np.ndarray:
    """Carry out operations, one after another.

    Args:
        img (np.ndarray): (H, W, 3) uint8, BGR; not written into.
        plan (Sequence[tuple[str, int, bool]]): Names, magnitudes and whether
            the sign is negative.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.
    """
    picture = to_pil(img)
    for step in plan:
        picture = OPS[step[0]](picture, strength(*step))
    return to_bgr(picture)


def check_op(name: str) -> str:
    """Check the name of an operation.

    Args:
        name (str): One of ``OPS``.

    Returns:
        str: The same.

    Raises:
        ValueError: If there is no such operation.
    """
    if name not in OPS:
        raise ValueError(f'there is no operation {name!r}; choose from '
                         f'{", ".join(OPS)}')
    return name


def apply_op(name: str,
             image: np.ndarray,
             magnitude: int,
             negative: bool = False) -> np.ndarray:
    """Apply one operation to an array.

    Args:
        name (str): One of ``OPS``.
        image (np.ndarray): (H, W, 3) uint8, RGB.
        magnitude (int): 0 to 10.
        negative (bool): The other direction, for ``SIGNED_OPS``. The others
            ignore it. Defaults to False.

    Returns:
        np.ndarray: (H, W, 3) uint8, RGB.

    Raises:
        ValueError: If there is no such operation.
    """
    picture = Image.fromarray(image)
    value = strength(check_op(name), int(magnitude), negative)
    return np.array(OPS[name](picture, value))
