"""What the steps of a view have in common: draw first, then carry out."""
import random
from abc import abstractmethod

from . import fast_ops, pillow_ops
from .base import BaseTransform

BACKENDS = dict(fast=fast_ops.run, pillow=pillow_ops.run)


def check_prob(prob):
    """Check a probability.

    Args:
        prob (float): The option's value.

    Returns:
        float: The same.

    Raises:
        ValueError: If it is not between 0 and 1.
    """
    if not 0 <= prob <= 1:
        raise ValueError(f'prob must be between 0 and 1, got {prob}')
    return prob


def check_backend(backend):
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

    What is done is drawn from ``random``, which mmengine seeds, and then
    carried out by a back end; the draws do not depend on the back end.

    Required and modified key: img, (H, W, 3) uint8, BGR.

    Args:
        prob (float): Probability of the change.
        backend (str): 'fast' (OpenCV) or 'pillow' (torchvision on PIL, the
            reference). Defaults to 'fast'.

    Raises:
        ValueError: If ``prob`` is not between 0 and 1 or there is no such
            back end.
    """

    def __init__(self, prob, backend='fast'):
        self.prob = check_prob(prob)
        self.backend = check_backend(backend)

    @abstractmethod
    def draw(self):
        """Draw what is done when something is.

        Returns:
            list[tuple[str, float]]: Names of ``fast_ops`` and their values,
            in order.
        """

    def plan(self):
        """Draw what is done to one picture.

        Returns:
            list[tuple[str, float]]: See :meth:`draw`; empty when nothing is.
        """
        return self.draw() if random.random() < self.prob else []

    def transform(self, results):
        """Change the picture, or not.

        Args:
            results (dict): Holds ``img``; the array is not written into, as
                other views start from it, too.

        Returns:
            dict: The same.
        """
        plan = self.plan()
        if plan:
            results['img'] = BACKENDS[self.backend](results['img'], plan)
        return results

    def __repr__(self):
        options = ', '.join(f'{name}={value}'
                            for name, value in vars(self).items()
                            if not name.startswith('_'))
        return f'{self.__class__.__name__}({options})'
