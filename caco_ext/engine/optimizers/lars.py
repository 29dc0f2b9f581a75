# Copyright (c) caco_ext authors. All rights reserved.
from typing import Any, Callable, Iterable, Optional

import torch
from mmengine.registry import OPTIMIZERS
from torch.optim import Optimizer

from .closure import evaluate


@OPTIMIZERS.register_module()
class CaCoLARS(Optimizer):
    r"""Layer-wise adaptive rate scaling, in the form that CaCo trains with.

    .. math::
        d = g + \lambda p, \quad
        \mu \leftarrow m \mu + \eta \frac{\|p\|}{\|d\|} d, \quad
        p \leftarrow p - lr \cdot \mu

    Parameters of at most one dimension (biases, norms) get neither weight
    decay nor the ratio. If a norm is zero, the ratio is one. The hosts'
    ``LARS`` has another denominator and the learning rate inside the
    momentum, and excludes no parameters by itself. A step overwrites the
    gradients.

    Args:
        params (Iterable): Parameters or groups of them.
        lr (float): Learning rate.
        momentum (float): m. Defaults to 0.9.
        weight_decay (float): lambda. Defaults to 1.5e-6.
        trust_coefficient (float): eta. Defaults to 0.001.

    Raises:
        ValueError: If an option is negative.
    """

    def __init__(self,
                 params: Iterable,
                 lr: float,
                 momentum: float = 0.9,
                 weight_decay: float = 1.5e-6,
                 trust_coefficient: float = 0.001) -> None:
        options = dict(
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            trust_coefficient=trust_coefficient)
        for name, value in options.items():
            if value < 0:
                raise ValueError(f'{name}={value} of CaCoLARS is negative')
        super().__init__(params, options)

    @torch.no_grad()
    def step(self, closure: Optional[Callable] = None) -> Any:
        """One step.

        Args:
            closure (Callable, optional): Evaluates the loss again.
                Defaults to None.

        Returns:
            float, optional: What the closure returns.
        """
        loss = evaluate(closure)
        for group in self.param_groups:
            params = [p for p in group['params'] if p.grad is not None]
            if params:
                self._step_group(group, params)
        return loss

    def _step_group(self, group: dict, params: list) -> None:
        wide = [p for p in params if p.ndim > 1]
        updates = [p.grad for p in params if p.ndim <= 1]
        if wide:
            # Allocating new memory would take a fifth of the step's time.
            scaled = [p.grad for p in wide]
            torch._foreach_add_(scaled, wide, alpha=group['weight_decay'])
            norms = torch.stack(torch._foreach_norm(wide))
            sizes = torch.stack(torch._foreach_norm(scaled))
            # Computed on the device, so that the CPU need not wait for it.
            ratio = torch.where((norms > 0) & (sizes > 0),
                                group['trust_coefficient'] * norms / sizes, 1.)
            torch._foreach_mul_(scaled, list(ratio.unbind()))
            updates = [*scaled, *updates]
        params = wide + [p for p in params if p.ndim <= 1]
        for p in params:
            if 'mu' not in self.state[p]:
                self.state[p]['mu'] = torch.zeros_like(p)
        mus = [self.state[p]['mu'] for p in params]
        torch._foreach_mul_(mus, group['momentum'])
        torch._foreach_add_(mus, updates)
        torch._foreach_add_(params, mus, alpha=-group['lr'])
