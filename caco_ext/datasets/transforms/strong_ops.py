"""CLSA's fourteen picture operations, on 8-bit RGB pictures.

Source: Wang and Qi, Contrastive Learning with Stronger Augmentations, 2021,
appendix. Resampling is nearest, uncovered area is black, the size stays.
"""
from functools import partial

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from .pil_bridge import to_bgr, to_pil

MAX_MAGNITUDE = 10
# what shears, shifts (shares of the size) and turns reach at that
AFFINE_LIMIT = 0.3
DEGREES_LIMIT = 30


def enhance_factor(magnitude):
    """Factor of the enhancers: always darker, greyer, flatter or blurrier.

    Args:
        magnitude (int): 0 to 10.

    Returns:
        float: 0.05 to 0.95.
    """
    return magnitude * 0.9 / MAX_MAGNITUDE + 0.05


def posterize_bits(magnitude):
    """Bits that Posterize keeps.

    Args:
        magnitude (int): 0 to 10.

    Returns:
        int: 4 to 8.
    """
    return magnitude * 4 // MAX_MAGNITUDE + 4


def solarize_threshold(magnitude):
    """Lowest level that Solarize inverts.

    Args:
        magnitude (int): 0 to 10.

    Returns:
        int: 256 to 0.
    """
    return 256 - magnitude * 256 // MAX_MAGNITUDE


def signed(value, negative):
    """Give a value its direction.

    Args:
        value (float): Without sign.
        negative (bool): Whether it is negative.

    Returns:
        float: The value or its opposite.
    """
    return -value if negative else value


def _enhance(enhancer, picture, magnitude, negative):
    return enhancer(picture).enhance(enhance_factor(magnitude))


def _affine(picture, coefficients):
    return picture.transform(picture.size, Image.Transform.AFFINE,
                             coefficients)


def _auto_contrast(picture, magnitude, negative):
    return ImageOps.autocontrast(picture)


def _equalize(picture, magnitude, negative):
    return ImageOps.equalize(picture)


def _identity(picture, magnitude, negative):
    return picture


def _posterize(picture, magnitude, negative):
    return ImageOps.posterize(picture, posterize_bits(magnitude))


def _solarize(picture, magnitude, negative):
    return ImageOps.solarize(picture, solarize_threshold(magnitude))


def _rotate(picture, magnitude, negative):
    degrees = magnitude * DEGREES_LIMIT // MAX_MAGNITUDE
    return picture.rotate(signed(degrees, negative))


def _shear_x(picture, magnitude, negative):
    slope = signed(magnitude * AFFINE_LIMIT / MAX_MAGNITUDE, negative)
    return _affine(picture, (1, slope, 0, 0, 1, 0))


def _shear_y(picture, magnitude, negative):
    slope = signed(magnitude * AFFINE_LIMIT / MAX_MAGNITUDE, negative)
    return _affine(picture, (1, 0, 0, slope, 1, 0))


def _translate_x(picture, magnitude, negative):
    share = signed(magnitude * AFFINE_LIMIT / MAX_MAGNITUDE, negative)
    return _affine(picture, (1, 0, int(share * picture.width), 0, 1, 0))


def _translate_y(picture, magnitude, negative):
    share = signed(magnitude * AFFINE_LIMIT / MAX_MAGNITUDE, negative)
    return _affine(picture, (1, 0, 0, 0, 1, int(share * picture.height)))


OPS = dict(
    AutoContrast=_auto_contrast,
    Brightness=partial(_enhance, ImageEnhance.Brightness),
    Color=partial(_enhance, ImageEnhance.Color),
    Contrast=partial(_enhance, ImageEnhance.Contrast),
    Equalize=_equalize,
    Identity=_identity,
    Posterize=_posterize,
    Rotate=_rotate,
    Sharpness=partial(_enhance, ImageEnhance.Sharpness),
    ShearX=_shear_x,
    ShearY=_shear_y,
    Solarize=_solarize,
    TranslateX=_translate_x,
    TranslateY=_translate_y)
# operations that have a direction
SIGNED_OPS = frozenset(
    ('Rotate', 'ShearX', 'ShearY', 'TranslateX', 'TranslateY'))


def run(img, plan):
    """Carry out operations, one after another.

    Args:
        img (np.ndarray): (H, W, 3) uint8, BGR; not written into.
        plan (Sequence[tuple[str, int, bool]]): Names, magnitudes and whether
            the sign is negative.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.
    """
    picture = to_pil(img)
    for name, magnitude, negative in plan:
        picture = OPS[name](picture, magnitude, negative)
    return to_bgr(picture)


def check_op(name):
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


def apply_op(name, image, magnitude, negative=False):
    """Apply one operation to an array.

    Args:
        name (str): One of ``OPS``.
        image (np.ndarray): (H, W, 3) uint8, RGB.
        magnitude (int): 0 to 10.
        negative (bool): The other direction, for ``SIGNED_OPS``; without
            meaning for the others. Defaults to False.

    Returns:
        np.ndarray: (H, W, 3) uint8, RGB.

    Raises:
        ValueError: If there is no such operation.
    """
    picture = Image.fromarray(image)
    return np.array(OPS[check_op(name)](picture, int(magnitude), negative))
