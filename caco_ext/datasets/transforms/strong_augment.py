"""CLSA's strong augmentation as a transform."""
import random

from mmengine.registry import TRANSFORMS

from . import strong_fast, strong_ops
from .base import BaseTransform
from .random_step import check_backend, check_prob
from .strong_ops import MAX_MAGNITUDE, OPS, SIGNED_OPS, check_op

_BACKENDS = dict(fast=strong_fast.run, pillow=strong_ops.run)


@TRANSFORMS.register_module()
class StrongAugment(BaseTransform):
    """A few random operations of random strength, one after another.

    Each is drawn with replacement from the pool, with a magnitude and, where
    the operation has a direction, a sign of equal odds; then it is applied
    with probability ``prob``. All draws are made whether it is applied or
    not.

    Source: Wang and Qi, Contrastive Learning with Stronger Augmentations.

    Required and modified key: img, (H, W, 3) uint8, BGR. The operations see
    the picture in RGB.

    Args:
        num_ops (int): Number of operations; the original calls it aug_times.
            Defaults to 5.
        prob (float): Probability of each. Defaults to 0.5.
        magnitude (tuple[int, int]): Range of the strength, both ends
            included. Defaults to (1, 9).
        ops (Sequence[str], optional): The pool. Defaults to None (all
            fourteen).
        backend (str): 'fast' (OpenCV) or 'pillow', which gives the pixels of
            the original. Defaults to 'fast'.

    Raises:
        ValueError: If an option is out of its range.
    """

    def __init__(self,
                 num_ops=5,
                 prob=0.5,
                 magnitude=(1, 9),
                 ops=None,
                 backend='fast'):
        if num_ops < 1:
            raise ValueError(f'num_ops must be positive, got {num_ops}')
        low, high = magnitude
        if not 0 <= low <= high <= MAX_MAGNITUDE:
            raise ValueError('magnitude must be a range (low, high) within 0 '
                             f'to {MAX_MAGNITUDE}, got {magnitude}')
        if ops is not None and not ops:
            raise ValueError('ops is empty; leave it out for all operations')
        self.num_ops = num_ops
        self.prob = check_prob(prob)
        self.magnitude = low, high
        self.ops = [check_op(name) for name in ops or OPS]
        self.backend = check_backend(backend)

    def draw(self):
        """Draw the operations of one picture.

        Returns:
            list[tuple[str, int, bool]]: Name, magnitude and whether the sign
            is negative, of those to apply.
        """
        plan = []
        for _ in range(self.num_ops):
            name = random.choice(self.ops)
            magnitude = random.randint(*self.magnitude)
            applied = random.random() < self.prob
            negative = name in SIGNED_OPS and random.random() < 0.5
            if applied:
                plan.append((name, magnitude, negative))
        return plan

    def plan(self):
        """Draw what is done to one picture; see :meth:`draw`."""
        return self.draw()

    def transform(self, results):
        """Augment the picture.

        Args:
            results (dict): Holds ``img``.

        Returns:
            dict: The same.
        """
        plan = self.plan()
        if plan:
            results['img'] = _BACKENDS[self.backend](results['img'], plan)
        return results

    def __repr__(self):
        return (f'{self.__class__.__name__}(num_ops={self.num_ops}, '
                f'prob={self.prob}, magnitude={self.magnitude}, '
                f'ops={self.ops}, backend={self.backend!r})')
