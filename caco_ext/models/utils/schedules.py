# Copyright (c) caco_ext authors. All rights reserved.
import math
from typing import Optional, Union

import torch
from mmengine.logging import MessageHub


class Schedule:
    """A number that is constant or follows a cosine over the run.

    It has no state. The value depends only on the progress that the runner
    writes into mmengine's message hub, so a resumed run continues exactly.

    Args:
        start (float): Value after the warm-up.
        end (float, optional): Value at the end of the cosine. It is not quite
            reached, as the last epoch is ``epochs - 1``. Defaults to
            ``start``, which makes the value constant.
        warmup (int): Epochs (or iterations) over which the value rises
            linearly, ``start * (e + 1) / warmup``. Defaults to 0.
        by_epoch (bool): Count epochs, as AdCo and CaCo do, or iterations, as
            CARE does. Defaults to True.

    Examples:
        >>> Schedule(0.99, 1.0).at(100, 200)
        0.995
    """

    def __init__(self,
                 start: float,
                 end: Optional[float] = None,
                 warmup: int = 0,
                 by_epoch: bool = True) -> None:
        if warmup < 0:
            raise ValueError(f'warmup={warmup} is negative; use 0 for none')
        self.start = float(start)
        self.end = self.start if end is None else float(end)
        self.warmup = warmup
        self.by_epoch = by_epoch

    @classmethod
    def build(cls, value: Union[float, dict, 'Schedule']) -> 'Schedule':
        """A schedule from what a config holds.

        Args:
            value (float | dict | Schedule): A constant, or the arguments of
                the constructor.

        Returns:
            Schedule: Ready to call.
        """
        if isinstance(value, dict):
            return cls(**value)
        return value if isinstance(value, Schedule) else cls(value)

    def at(self, step: int, total: int) -> float:
        """Value at one point of the run.

        Args:
            step (int): Epoch or iteration, from 0.
            total (int): Epochs or iterations of the whole run.

        Returns:
            float: The value.
        """
        if step < self.warmup:
            return self.start * (step + 1) / self.warmup
        if self.start == self.end:
            return self.start
        share = (step - self.warmup) / (total - self.warmup)
        return self.end + (self.start -
                           self.end) * (1 + math.cos(math.pi * share)) / 2

    # A compiled graph would keep the first value.
    @torch.compiler.disable
    def __call__(self) -> float:
        """Value at the runner's present epoch or iteration.

        Raises:
            RuntimeError: If the value changes over the run and no runner has
                said how long the run is.
        """
        if self.start == self.end and not self.warmup:
            return self.start
        hub = MessageHub.get_current_instance()
        unit = 'epoch' if self.by_epoch else 'iter'
        if f'max_{unit}s' not in hub.runtime_info:
            raise RuntimeError(
                f'the schedule {self} needs the length of the run: train with '
                'an mmengine Runner and its RuntimeInfoHook, or use a '
                'constant number instead')
        return self.at(hub.get_info(unit), hub.get_info(f'max_{unit}s'))

    def __repr__(self) -> str:
        return (f'Schedule(start={self.start}, end={self.end}, '
                f'warmup={self.warmup}, by_epoch={self.by_epoch})')
