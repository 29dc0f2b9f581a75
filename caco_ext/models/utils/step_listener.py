# Copyright (c) caco_ext authors. All rights reserved.
import weakref
from functools import lru_cache
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

_MODELS: 'weakref.WeakSet[nn.Module]' = weakref.WeakSet()


def call_after_step(model: nn.Module) -> None:
    """Call ``model.after_step()`` whenever an optimizer has moved the model.

    Bank, queue and moving average belong to optimizer steps, not to forward
    passes: with gradient accumulation they wait, and when a loss scaler skips
    a step they do too. torch tells of steps itself, so this holds in every
    training loop, and no entry in a config can be forgotten.

    A model calls this in each training pass and not when it is made: a copy
    of a model, or one that was unpickled, was never made.

    Args:
        model (nn.Module): Has a method ``after_step``. Only a weak reference
            is kept. A second call changes nothing.
    """
    _listen()
    _MODELS.add(model)


@lru_cache(maxsize=None)
def _listen() -> None:
    """Ask torch to tell of steps, once in a process."""
    register_optimizer_step_post_hook(_after_step)


def _after_step(optimizer: Optimizer, *_: Any) -> None:
    """Tell the models whose parameters an optimizer has moved."""
    # Fused optimizers are called although the scaler skips the step.
    skipped = getattr(optimizer, 'found_inf', None)
    if skipped is not None and bool(skipped):
        return
    moved = {
        id(p)
        for group in optimizer.param_groups
        for p in group['params']
    }
    for model in list(_MODELS):
        if any(id(p) in moved for p in model.parameters() if p.requires_grad):
            model.after_step()
