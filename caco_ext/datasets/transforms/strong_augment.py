"""CLSA's strong augmentation as a transform."""
import random
from typing import List, Optional, Sequence, Tuple

from mmengine.registry import TRANSFORMS

from . import strong_fast, strong_ops
from .base import Step
from .random_step import RandomStep
from .strong_ops import MAX_MAGNITUDE, OPS, SIGNED_OPS, check_op


@TRANSFORMS.register_module()
class StrongAugment(RandomStep):
    """A few random operations of random strength, one after another.

    Each is drawn with replacement from the pool, with a magnitude. If the
    operation has a direction, its sign is drawn with equal odds. Then it is
    applied with probability ``prob``. All draws are made in any case.

    Source: Wang and Qi, Contrastive Learning with Stronger Augmentations.

    Required and modified key: img, (H, W, 3) uint8, BGR. The operations see
    the picture in RGB.

    Args:
        num_ops (int): Number of operations; ``aug_times`` in the original.
            Defaults to 5.
        prob (float): Probability of each operation. Defaults to 0.5.
        magnitude (tuple[int, int]): Range of the strength, both ends
            included. Defaults to (1, 9).
        ops (Sequence[str], optional): The pool. Defaults to None (all
            fourteen).
        backend (str): 'fast' (OpenCV) or 'pillow', which gives the pixels of
            the original. Defaults to 'fast'.

    Raises:
        ValueError: If an option is out of its range.
    """

    _run = dict(fast=strong_fast.run, pillow=strong_ops.run)

    def __init__(self,
                 num_ops: int = 5,
                 prob: float = 0.5,
                 magnitude: Tuple[int, int] = (1, 9),
                 ops: Optional[Sequence[str]] = None,
                 backend: str = 'fast') -> None:
        if num_ops < 1:
            raise ValueError(f'num_ops must be positive, got {num_ops}')
        low, high = magnitude
        if not 0 <= low <= high <= MAX_MAGNITUDE:
            raise ValueError('magnitude must be a range (low, high) within 0 '
                             f'to {MAX_MAGNITUDE}, got {magnitude}')
        if ops is not None and not ops:
            raise ValueError('ops is empty; leave it out for all operations')
        super().__init__(prob, backend)
        self.num_ops = num_ops
        self.magnitude = low, high
        self.ops = [check_op(name) for name in ops or OPS]

    def draw(self) -> List[Step]:
        """Draw the operations of one picture.

        Returns:
            list[tuple[str, int, bool]]: The operations to apply: name,
            magnitude and whether the sign is negative.
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

    def plan(self) -> List[Step]:
        """Draw what is done to one picture; see :meth:`draw`."""
        return self.draw()
