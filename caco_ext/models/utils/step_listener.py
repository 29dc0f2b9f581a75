# Copyright (c) caco_ext authors. All rights reserved.
import weakref
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook


def call_after_step(model: nn.Module) -> None:
    """Call ``model.after_step()`` whenever an optimizer has moved the model.

    Bank, queue and moving average belong to optimizer steps, not to forward
    passes: with gradient accumulation they wait, and when a loss scaler skips
    a step they do too. torch tells of steps itself, so this holds in every
    training loop, and no entry in a config can be forgotten.

    Args:
        model (nn.Module): Has a method ``after_step``. Only a weak reference
            is kept.
    """
    reference = weakref.ref(model)

    def hook(optimizer: Optimizer, *_: Any) -> None:
        model = reference()
        if model is None:
            return
        # Fused optimizers are called although the scaler skips the step.
        skipped = getattr(optimizer, 'found_inf', None)
        if skipped is not None and bool(skipped):
            return
        own = {id(p) for p in model.parameters() if p.requires_grad}
        if any(
                id(p) in own for group in optimizer.param_groups
                for p in group['params']):
            model.after_step()

    handle = register_optimizer_step_post_hook(hook)
    weakref.finalize(model, handle.remove)
