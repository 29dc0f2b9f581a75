from typing import Any, Callable, Iterable, Optional

import torch
from mmengine.registry import OPTIMIZERS
from torch import Tensor

from .closure import evaluate


@OPTIMIZERS.register_module()
class LARC(torch.optim.SGD):
    r"""SGD with layer-wise scaled gradients, as CaCo's linear probe has it.

    .. math::
        g \leftarrow \eta \frac{\|p\|}{\|g\| + \lambda \|p\| + \epsilon}
        (g + \lambda p)

    before the ordinary step of SGD, without clipping. If the norm of a tensor
    or of its gradient is zero, the gradient is not scaled. So the first step
    of the classifier's bias, which starts at zero, is plain SGD.

    Args:
        params (Iterable): Parameters or groups of them.
        lr (float): Learning rate.
        momentum (float): Momentum of SGD. Defaults to 0.9.
        weight_decay (float): lambda. Defaults to 0.
        trust_coefficient (float): eta. Defaults to 0.001.
        eps (float): epsilon. Defaults to 1e-8.
        nesterov (bool): Nesterov momentum of SGD. Defaults to False.

    Raises:
        ValueError: If an option is negative.
    """

    def __init__(self,
                 params: Iterable,
                 lr: float,
                 momentum: float = 0.9,
                 weight_decay: float = 0.,
                 trust_coefficient: float = 0.001,
                 eps: float = 1e-8,
                 nesterov: bool = False) -> None:
        for name, value in (('trust_coefficient', trust_coefficient), ('eps',
                                                                       eps)):
            if value < 0:
                raise ValueError(f'{name}={value} of LARC is negative')
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            nesterov=nesterov)
        self.trust_coefficient = trust_coefficient
        self.eps = eps

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
        decays = [group['weight_decay'] for group in self.param_groups]
        for group in self.param_groups:
            for p in group['params']:
                if p.grad is not None:
                    self._scale(p, p.grad, group['weight_decay'])
            # The scaled gradient already includes it.
            group['weight_decay'] = 0.
        super().step()
        for group, decay in zip(self.param_groups, decays):
            group['weight_decay'] = decay
        return loss

    def _scale(self, p: Tensor, grad: Tensor, decay: float) -> None:
        size, slope = p.norm(), grad.norm()
        ratio = self.trust_coefficient * size / (
            slope + decay * size + self.eps)
        scaled = (grad + decay * p) * ratio
        # Computed on the device, so that the CPU need not wait for it.
        used = (size > 0) & (slope > 0)
        grad.copy_(torch.where(used, scaled, grad))
