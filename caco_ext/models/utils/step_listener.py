# Copyright (c) caco_ext authors. All rights reserved.
import weakref
from functools import lru_cache
from typing import Any, Iterator, Protocol

from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import (register_optimizer_step_post_hook,
                                   register_optimizer_step_pre_hook)


class Listener(Protocol):
    """A model that is told of its optimizer's steps."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """As ``nn.Module.parameters``."""

    def after_step(self) -> None:
        """Called after each optimizer step that changed a parameter."""


_MODELS: 'weakref.WeakSet[Listener]' = weakref.WeakSet()
# Optimizers inside others; see _before_step.
_INNER: 'weakref.WeakSet[Optimizer]' = weakref.WeakSet()


def call_after_step(model: Listener) -> None:
    """Call ``model.after_step()`` after each optimizer step of the model.

    Bank, queue and moving average are updated once per optimizer step. They
    wait while gradients accumulate and skip a step that a loss scaler skips.
    torch itself reports the steps, so this works in every training loop and
    needs no entry in a config.

    A model calls this in each training pass and not in its constructor,
    which does not run for a copied or unpickled model.

    Args:
        model (Listener): The model. Only a weak reference is kept. A second
            call changes nothing.
    """
    _listen()
    _MODELS.add(model)


@lru_cache(maxsize=None)
def _listen() -> None:
    """Ask torch to report optimizer steps; once in a process."""
    register_optimizer_step_pre_hook(_before_step)
    register_optimizer_step_post_hook(_after_step)


def _before_step(optimizer: Optimizer, *_: Any) -> None:
    """Note the optimizer inside a ZeroRedundancyOptimizer.

    torch reports its step too, although it moves this rank's share of the
    parameters alone, and the share may be empty.
    """
    inner = getattr(optimizer, 'optim', None)
    if isinstance(inner, Optimizer):
        _INNER.add(inner)


def _after_step(optimizer: Optimizer, *_: Any) -> None:
    """Tell the models whose parameters this optimizer has changed."""
    if optimizer in _INNER:
        return
    # A fused optimizer is called even if the scaler skips the step.
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
