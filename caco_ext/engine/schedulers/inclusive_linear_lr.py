# Copyright (c) caco_ext authors. All rights reserved.
from typing import Any

from mmengine.optim.scheduler import LinearLR
from mmengine.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class InclusiveLinearLR(LinearLR):
    """A linear warm-up whose last iteration has the full learning rate.

    In CARE, iteration i of a warm-up of W iterations trains at
    ``lr0 + (lr - lr0) * i / W`` for i = 0 .. W, which are W + 1 values.
    mmengine's ``LinearLR`` reaches the full rate one iteration earlier when
    its epochs are converted to iterations.

    It takes the arguments of ``mmengine.optim.LinearLR``. Use it with
    ``by_epoch=True, convert_to_iter_based=True``.
    """

    @classmethod
    def build_iter_from_epoch(cls,
                              *args: Any,
                              end: float,
                              epoch_length: int,
                              by_epoch: bool = True,
                              begin: float = 0,
                              **kwargs: Any) -> 'InclusiveLinearLR':
        """A scheduler in iterations from one in epochs.

        Args:
            *args: Arguments of ``LinearLR``.
            end (float): Last epoch of the warm-up.
            epoch_length (int): Iterations per epoch.
            by_epoch (bool): Must be true. Defaults to True.
            begin (float): First epoch. Defaults to 0.
            **kwargs: More arguments of ``LinearLR``.

        Returns:
            InclusiveLinearLR: The scheduler.

        Raises:
            ValueError: If it counts iterations already.
        """
        if not by_epoch:
            raise ValueError('convert_to_iter_based=True of InclusiveLinearLR '
                             'needs by_epoch=True')
        return cls(
            *args,
            begin=int(begin * epoch_length),
            end=int(end * epoch_length) + 1,
            by_epoch=False,
            **kwargs)
