"""Colour steps of the views, as torchvision makes them on PIL pictures.

The originals were trained with torchvision on PIL. ``backend='pillow'`` calls
it. The default does the same with OpenCV. The hosts' own transforms weight
all channels equally for grey, take at least twice the time, and have
different names in each host.
"""
import random
from typing import List, Tuple

from mmengine.registry import TRANSFORMS

from .base import Step
from .random_step import RandomStep


@TRANSFORMS.register_module()
class ViewColorJitter(RandomStep):
    """Change brightness, contrast, saturation and hue in random order.

    Works like torchvision's ``ColorJitter`` on PIL pictures.

    Args:
        brightness (float): Factor from [max(0, 1 - b), 1 + b]. Defaults to
            0.4.
        contrast (float): The same for contrast. Defaults to 0.4.
        saturation (float): The same for saturation. Defaults to 0.4.
        hue (float): Shift from [-h, h], at most 0.5. Defaults to 0.1.
        prob (float): Probability of the whole step. Defaults to 0.8.
        backend (str): See :class:`RandomStep`. Defaults to 'fast'.

    Raises:
        ValueError: If an option is out of its range.
    """

    def __init__(self,
                 brightness: float = 0.4,
                 contrast: float = 0.4,
                 saturation: float = 0.4,
                 hue: float = 0.1,
                 prob: float = 0.8,
                 backend: str = 'fast') -> None:
        super().__init__(prob, backend)
        scales = dict(
            brightness=brightness, contrast=contrast, saturation=saturation)
        for name, value in scales.items():
            if value < 0:
                raise ValueError(f'{name} must not be negative, got {value}')
        if not 0 <= hue <= 0.5:
            raise ValueError(f'hue must be between 0 and 0.5, got {hue}')
        self.strengths = dict(scales, hue=hue)

    def draw(self) -> List[Step]:
        """Draw the steps, in their order; see :class:`RandomStep`."""
        plan: List[Step] = []
        for name, strength in self.strengths.items():
            middle, least = (0, -strength) if name == 'hue' else (1, 0)
            value = random.uniform(
                max(least, middle - strength), middle + strength)
            if strength:
                plan.append((name, value))
        random.shuffle(plan)
        return plan


@TRANSFORMS.register_module()
class ViewRandomGrayscale(RandomStep):
    """Make the picture grey, with the weights 0.299, 0.587, 0.114 of R, G, B.

    The picture keeps three channels.

    Args:
        prob (float): Probability. Defaults to 0.2.
        backend (str): See :class:`RandomStep`. Defaults to 'fast'.
    """

    def __init__(self, prob: float = 0.2, backend: str = 'fast') -> None:
        super().__init__(prob, backend)

    def draw(self) -> List[Step]:
        """The only way; see :class:`RandomStep`."""
        return [('grey', 1.)]


@TRANSFORMS.register_module()
class ViewGaussianBlur(RandomStep):
    """Blur like PIL's ``GaussianBlur``, with a random radius.

    Args:
        sigma (tuple[float, float]): Range of the radius. Defaults to
            (0.1, 2.0).
        prob (float): Probability. Defaults to 0.5.
        backend (str): See :class:`RandomStep`. Defaults to 'fast'.

    Raises:
        ValueError: If ``sigma`` is not a range.
    """

    def __init__(self,
                 sigma: Tuple[float, float] = (0.1, 2.0),
                 prob: float = 0.5,
                 backend: str = 'fast') -> None:
        super().__init__(prob, backend)
        if not 0 <= sigma[0] <= sigma[1]:
            raise ValueError(f'sigma must be a range (low, high), got {sigma}')
        self.sigma = sigma[0], sigma[1]

    def draw(self) -> List[Step]:
        """Draw the radius; see :class:`RandomStep`."""
        return [('blur', random.uniform(*self.sigma))]


@TRANSFORMS.register_module()
class ViewSolarize(RandomStep):
    """Invert all levels at or above a threshold.

    Args:
        threshold (int): The lowest level that is inverted. Defaults to 128.
        prob (float): Probability. Defaults to 0.2.
        backend (str): See :class:`RandomStep`. Defaults to 'fast'.
    """

    def __init__(self,
                 threshold: int = 128,
                 prob: float = 0.2,
                 backend: str = 'fast') -> None:
        super().__init__(prob, backend)
        self.threshold = threshold

    def draw(self) -> List[Step]:
        """The only way; see :class:`RandomStep`."""
        return [('solarize', self.threshold)]
