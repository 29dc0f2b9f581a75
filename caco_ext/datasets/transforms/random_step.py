"""What the steps of a view have in common."""
import random
from abc import abstractmethod

from mmcv.transforms import BaseTransform


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


class RandomStep(BaseTransform):
    """A change of the picture that is made with some probability.

    Required and modified key: img, (H, W, 3) uint8.

    Args:
        prob (float): Probability of the change.

    Raises:
        ValueError: If it is not between 0 and 1.
    """

    def __init__(self, prob):
        self.prob = check_prob(prob)

    @abstractmethod
    def change(self, img):
        """Change the picture.

        Args:
            img (np.ndarray): (H, W, 3) uint8, BGR; must not be written into,
                other views start from it, too.

        Returns:
            np.ndarray: (H, W, 3) uint8, BGR.
        """

    def transform(self, results):
        """Change the picture, or not.

        Args:
            results (dict): Holds ``img``.

        Returns:
            dict: The same.
        """
        if random.random() < self.prob:
            results['img'] = self.change(results['img'])
        return results

    def __repr__(self):
        options = ', '.join(f'{name}={value}'
                            for name, value in vars(self).items()
                            if not name.startswith('_'))
        return f'{self.__class__.__name__}({options})'
