"""Colour steps of the views, by the law of torchvision on PIL pictures.

The hosts' transforms of like names grey with equal weights, take twice the
time or more, and are named differently in each host. The originals were
trained with torchvision on PIL, so that is the law; OpenCV does the work,
as PIL needs ten times as long for hue and blur. The tests hold the steps to
within a level or two of torchvision's.
"""
import math
import random

import cv2
import numpy as np
from mmengine.registry import TRANSFORMS

from .random_step import RandomStep

# PIL cuts off fractions where OpenCV rounds
_CUT = -0.499


def _grey(img):
    """Grey picture with PIL's weights.

    Args:
        img (np.ndarray): (H, W, 3) uint8, BGR.

    Returns:
        np.ndarray: (H, W) uint8.
    """
    return cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)


def adjust_brightness(img, factor):
    """Mix with black.

    Args:
        img (np.ndarray): (H, W, 3) uint8, BGR.
        factor (float): 0 gives black, 1 the picture.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.
    """
    return cv2.addWeighted(img, factor, img, 0, _CUT)


def adjust_contrast(img, factor):
    """Mix with the mean grey of the picture.

    Args:
        img (np.ndarray): (H, W, 3) uint8, BGR.
        factor (float): 0 gives uniform grey, 1 the picture.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.
    """
    mean = int(cv2.mean(_grey(img))[0] + 0.5)
    return cv2.addWeighted(img, factor, img, 0, mean * (1 - factor) + _CUT)


def adjust_saturation(img, factor):
    """Mix with the grey picture.

    Args:
        img (np.ndarray): (H, W, 3) uint8, BGR.
        factor (float): 0 gives grey, 1 the picture.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.
    """
    grey = cv2.cvtColor(_grey(img), cv2.COLOR_GRAY2BGR)
    return cv2.addWeighted(img, factor, grey, 1 - factor, _CUT)


def adjust_hue(img, shift):
    """Turn the hue.

    Args:
        img (np.ndarray): (H, W, 3) uint8, BGR.
        shift (float): Share of the colour circle, -0.5 to 0.5.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.
    """
    hsv = cv2.cvtColor(img, cv2.COLOR_BGR2HSV_FULL)
    # 8-bit hue wraps by itself at the end of the circle
    hsv[..., 0] += np.uint8(int(shift * 255) % 256)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR_FULL)


def blur_kernel(sigma):
    """The filter that PIL's ``GaussianBlur`` amounts to.

    PIL blurs three times with a box whose outermost weights are a fraction.
    A box of half width l with outer weights a has the variance
    (l (l + 1) (2 l + 1) / 3 + 2 a (l + 1)^2) / (2 l + 1 + 2 a); three of them
    must add up to sigma^2.

    Args:
        sigma (float): Standard deviation, PIL's radius.

    Returns:
        np.ndarray: (K, ) float32 with sum 1, K odd.
    """
    variance = sigma**2 / 3
    # the widest whole box that is not too wide
    half = int((math.sqrt(1 + 12 * variance) - 1) / 2)
    outer = (2 * half + 1) * (variance - half *
                              (half + 1) / 3) / (2 *
                                                 ((half + 1)**2 - variance))
    box = np.ones(2 * half + 3)
    box[[0, -1]] = outer
    box /= box.sum()
    return np.convolve(np.convolve(box, box), box).astype(np.float32)


def blur(img, sigma):
    """Blur as PIL's ``GaussianBlur`` does.

    Args:
        img (np.ndarray): (H, W, 3) uint8.
        sigma (float): Standard deviation, PIL's radius.

    Returns:
        np.ndarray: (H, W, 3) uint8.
    """
    kernel = blur_kernel(sigma)
    return cv2.sepFilter2D(
        img, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)


_STEPS = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)


@TRANSFORMS.register_module()
class ViewJitter(RandomStep):
    """Change brightness, contrast, saturation and hue in random order.

    The law is that of torchvision's ``ColorJitter`` on PIL pictures; draws
    come from ``random``, which mmengine seeds.

    Args:
        brightness (float): Factor from [max(0, 1 - b), 1 + b]. Defaults to
            0.4.
        contrast (float): The same for contrast. Defaults to 0.4.
        saturation (float): The same for saturation. Defaults to 0.4.
        hue (float): Shift from [-h, h], at most 0.5. Defaults to 0.1.
        prob (float): Probability of the whole step. Defaults to 0.8.

    Raises:
        ValueError: If an option is out of its range.
    """

    def __init__(self,
                 brightness=0.4,
                 contrast=0.4,
                 saturation=0.4,
                 hue=0.1,
                 prob=0.8):
        super().__init__(prob)
        for name, value in dict(
                brightness=brightness, contrast=contrast,
                saturation=saturation).items():
            if value < 0:
                raise ValueError(f'{name} must not be negative, got {value}')
        if not 0 <= hue <= 0.5:
            raise ValueError(f'hue must be between 0 and 0.5, got {hue}')
        self.strengths = brightness, contrast, saturation, hue

    def draw(self):
        """Draw the steps, in their order.

        Returns:
            list[tuple[Callable, float]]: Steps that are not idle, and their
            factor or shift.
        """
        *scales, hue = self.strengths
        values = [
            random.uniform(max(0, 1 - scale), 1 + scale) for scale in scales
        ]
        values.append(random.uniform(-hue, hue))
        steps = [
            (step, value)
            for step, value, strength in zip(_STEPS, values, self.strengths)
            if strength
        ]
        random.shuffle(steps)
        return steps

    def change(self, img):
        """Jitter the picture; see :class:`RandomStep`."""
        for step, value in self.draw():
            img = step(img, value)
        return img


@TRANSFORMS.register_module()
class ViewGray(RandomStep):
    """Make the picture grey, with the weights 0.299, 0.587, 0.114 of R, G, B.

    The picture keeps three channels.

    Args:
        prob (float): Probability. Defaults to 0.2.
    """

    def __init__(self, prob=0.2):
        super().__init__(prob)

    def change(self, img):
        """Grey the picture; see :class:`RandomStep`."""
        return cv2.cvtColor(_grey(img), cv2.COLOR_GRAY2BGR)


@TRANSFORMS.register_module()
class ViewBlur(RandomStep):
    """Blur like PIL's ``GaussianBlur``, with a random radius.

    Args:
        sigma (tuple[float, float]): Range of the radius. Defaults to
            (0.1, 2.0).
        prob (float): Probability. Defaults to 0.5.

    Raises:
        ValueError: If the range is not one.
    """

    def __init__(self, sigma=(0.1, 2.0), prob=0.5):
        super().__init__(prob)
        if not 0 <= sigma[0] <= sigma[1]:
            raise ValueError(f'sigma must be a range (low, high), got {sigma}')
        self.sigma = tuple(sigma)

    def change(self, img):
        """Blur the picture; see :class:`RandomStep`."""
        return blur(img, random.uniform(*self.sigma))


@TRANSFORMS.register_module()
class ViewSolarize(RandomStep):
    """Invert all levels at or above a threshold.

    Args:
        threshold (int): The lowest level that is inverted. Defaults to 128.
        prob (float): Probability. Defaults to 0.2.
    """

    def __init__(self, threshold=128, prob=0.2):
        super().__init__(prob)
        self.threshold = threshold
        levels = np.arange(256)
        self._table = np.where(levels < threshold, levels,
                               255 - levels).astype(np.uint8)

    def change(self, img):
        """Solarise the picture; see :class:`RandomStep`."""
        return cv2.LUT(img, self._table)
