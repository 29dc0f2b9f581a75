# Copyright (c) caco_ext authors. All rights reserved.
from copy import deepcopy
from typing import List, Tuple

import torch
from torch import Tensor, nn


class MomentumEncoder(nn.Module):
    """Moving averages of some modules of a model.

    Holds a copy of each under the same name. Only parameters are averaged.
    Batch statistics come from the copies' own forward passes, as in all four
    originals; mmengine's averaged model would copy them.

    Args:
        **modules (nn.Module): Modules to average, by their name in the model.

    Examples:
        >>> key = MomentumEncoder(backbone=model.backbone, neck=model.neck)
        >>> key.update(model, momentum=0.999)  # after an optimizer step
    """

    def __init__(self, **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, deepcopy(module).requires_grad_(False))
        # Whether the source has changed since the last update. It is a Python
        # bool because reading a tensor would wait for the GPU each iteration.
        self.needs_update = False

    def get_extra_state(self) -> Tensor:
        """``needs_update``, saved with the weights: a resumed run then
        neither skips nor repeats an update."""
        return torch.tensor(self.needs_update)

    def set_extra_state(self, state: Tensor) -> None:
        """Counterpart of :meth:`get_extra_state`."""
        self.needs_update = bool(state)

    def _pairs(self, source: nn.Module) -> Tuple[List[Tensor], List[Tensor]]:
        mine: List[Tensor] = []
        theirs: List[Tensor] = []
        for name, module in self.named_children():
            mine += module.parameters()
            theirs += getattr(source, name).parameters()
        return mine, theirs

    # A compiled graph would be compiled anew for each momentum.
    @torch.compiler.disable
    @torch.no_grad()
    def update(self, source: nn.Module, momentum: float) -> None:
        """``own <- momentum * own + (1 - momentum) * source``.

        Does nothing if the source has not changed since the last update.

        Args:
            source (nn.Module): The model that holds the averaged modules.
            momentum (float): Weight of the old value.
        """
        if self.needs_update:
            mine, theirs = self._pairs(source)
            torch._foreach_lerp_(mine, theirs, 1 - momentum)
            self.needs_update = False

    @torch.no_grad()
    def copy_from(self, source: nn.Module) -> None:
        """``own <- source`` for all parameters.

        Args:
            source (nn.Module): The model that holds the averaged modules.
        """
        mine, theirs = self._pairs(source)
        torch._foreach_copy_(mine, theirs)
        self.needs_update = False
