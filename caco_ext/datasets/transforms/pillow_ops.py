"""The colour steps of a view with torchvision on PIL, the reference.

The originals were trained with it. It is slow.
"""
import numpy as np
from PIL import ImageFilter
from torchvision.transforms import functional as tv

from .base import Plan
from .pil_bridge import to_bgr, to_pil

OPS = dict(
    brightness=tv.adjust_brightness,
    contrast=tv.adjust_contrast,
    saturation=tv.adjust_saturation,
    hue=tv.adjust_hue,
    grey=lambda picture, _: tv.to_grayscale(picture, 3),
    blur=lambda picture, sigma: picture.filter(
        ImageFilter.GaussianBlur(sigma)),
    solarize=tv.solarize,
    flip=lambda picture, _: tv.hflip(picture))


def run(img: np.ndarray, plan: Plan) -> np.ndarray:
    """Carry out steps, one after another.

    Args:
        img (np.ndarray): (H, W, 3) uint8, BGR; not written into.
        plan (Sequence[tuple[str, float]]): Names and values.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.
    """
    picture = to_pil(img)
    for name, value in plan:
        picture = OPS[name](picture, value)
    return to_bgr(picture)
