"""Classifiers that the hosts lack."""
from typing import Any

from mmengine.registry import MODELS
from torch import Tensor, nn


class NormedLinear(nn.Linear):
    """A linear layer with a batch norm behind it.

    The norm is of each process by itself, as in CARE's linear probe.

    Args:
        in_features (int): Width of the features.
        out_features (int): Number of classes.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.bn = nn.BatchNorm1d(out_features)

    def forward(self, x: Tensor) -> Tensor:
        """Classify.

        Args:
            x (Tensor): Features (N, in_features).

        Returns:
            Tensor: Logits (N, out_features).
        """
        return self.bn(super().forward(x))


@MODELS.register_module(name='LinearNormHead')
def linear_norm_head(**options: Any) -> nn.Module:
    """Build the host's linear head with a :class:`NormedLinear` in it.

    Args:
        **options: Of mmcls's ``LinearClsHead``; its initialisation,
            N(0, 0.01) and 0, holds for the linear layer here too.

    Returns:
        nn.Module: The head.
    """
    head = MODELS.build(dict(type='mmcls.LinearClsHead', **options))
    head.fc = NormedLinear(head.in_channels, head.num_classes)
    return head
