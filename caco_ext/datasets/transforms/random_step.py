"""Base class of a view's random steps: draw first, then carry out."""
import random
from abc import abstractmethod
from typing import Callable, ClassVar, Dict, List

import numpy as np

from . import fast_ops, pillow_ops
from .base import BaseTransform, Plan, Results, Step

BACKENDS = ('fast', 'pillow')


def check_backend(backend: str) -> str:
    """Check the name of a back end.

    Args:
        backend (str): The option's value.

    Returns:
        str: The same.

    Raises:
        ValueError: If there is no such back end.
    """
    if backend not in BACKENDS:
        raise ValueError(f'backend must be one of {", ".join(BACKENDS)}, got '
                         f'{backend!r}')
    return backend


class RandomStep(BaseTransform):
    """A change of the picture that is made with some probability.

    The step draws from ``random``, which mmengine seeds. A back end then
    carries it out. The draws do not depend on the back end. The input picture
    is not written into, as other views start from it, too.

    Required and modified key: img, (H, W, 3) uint8, BGR.

    Args:
        prob (float): Probability of the change.
        backend (str): 'fast' (OpenCV) or 'pillow' (torchvision on PIL, the
            reference). Defaults to 'fast'.

    Raises:
        ValueError: If ``prob`` is not between 0 and 1 or there is no such
            back end.
    """

    _run: ClassVar[Dict[str, Callable[[np.ndarray, Plan], np.ndarray]]] = dict(
        fast=fast_ops.run, pillow=pillow_ops.run)

    def __init__(self, prob: float, backend: str = 'fast') -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be between 0 and 1, got {prob}')
        self.prob = prob
        self.backend = check_backend(backend)

    @abstractmethod
    def draw(self) -> List[Step]:
        """Draw the values of the change.

        Returns:
            list[tuple[str, float]]: Names of ``fast_ops`` and their values,
            in order.
        """

    def plan(self) -> List[Step]:
        """Draw whether to change a picture, and how.

        Returns:
            list[tuple[str, float]]: See :meth:`draw`; empty for no change.
        """
        return self.draw() if random.random() < self.prob else []

    def transform(self, results: Results) -> Results:
        """Change the picture, or not."""
        plan = self.plan()
        if plan:
            results['img'] = self._run[self.backend](results['img'], plan)
        return results
