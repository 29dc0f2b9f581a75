"""What a step of an optimizer does with a closure."""
from typing import Callable, Optional

import torch


def evaluate(closure: Optional[Callable]) -> Optional[float]:
    """Evaluate the loss anew, with gradients, inside a step without them.

    Args:
        closure (Callable, optional): As torch's optimizers take it.

    Returns:
        float, optional: What it returns; None without one.
    """
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()
