"""Evaluate the closure of an optimizer's step."""
from typing import Callable, Optional

import torch


def evaluate(closure: Optional[Callable]) -> Optional[float]:
    """Call the closure with gradients enabled, inside ``no_grad``.

    Args:
        closure (Callable, optional): As torch's optimizers take it.

    Returns:
        float, optional: The closure's loss; None without a closure.
    """
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()
