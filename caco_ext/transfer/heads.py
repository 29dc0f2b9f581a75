"""Heads that the hosts lack."""
from typing import Any, Optional

from mmengine.model import BaseModule
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
        """Features (N, in_features) to logits (N, out_features)."""
        return self.bn(super().forward(x))


@MODELS.register_module(name='LinearNormHead')
def linear_norm_head(**options: Any) -> nn.Module:
    """Build the host's linear head with a :class:`NormedLinear` in it.

    Args:
        **options (Any): Of mmcls's ``LinearClsHead``; its initialisation,
            N(0, 0.01) and 0, holds for the linear layer here too.

    Returns:
        nn.Module: The head.
    """
    head = MODELS.build(dict(type='mmcls.LinearClsHead', **options))
    head.fc = NormedLinear(head.in_channels, head.num_classes)
    return head


@MODELS.register_module()
class LastStageExtraNorm(BaseModule):
    """Stage 4 of mmcls's ResNet and a norm behind it, for C4 detectors.

    The hosts' ``ResLayerExtraNorm`` is the same, but knows the usual widths
    only; this one serves CARE's ResNet-50 (2x) too.

    Args:
        depth (int): Of the ResNet.
        base_channels (int): Inner width of its first stage. Defaults to 64.
        expansion (int, optional): Outer over inner width. Defaults to None:
            the depth's own.
        norm_cfg (dict): Of all norms. Defaults to SyncBN.
        init_cfg (dict, optional): Of mmengine. Defaults to None.
    """

    def __init__(self,
                 depth: int,
                 base_channels: int = 64,
                 expansion: Optional[int] = None,
                 norm_cfg: dict = dict(type='SyncBN', requires_grad=True),
                 init_cfg: Optional[dict] = None) -> None:
        # Here, because pre-training does without mmcv.
        from mmcv.cnn import build_norm_layer
        super().__init__(init_cfg)
        resnet = MODELS.build(
            dict(
                type='mmcls.ResNet',
                depth=depth,
                base_channels=base_channels,
                expansion=expansion,
                norm_cfg=norm_cfg))
        self.layer4 = resnet.layer4
        self.norm = build_norm_layer(norm_cfg, resnet.feat_dim)[1]

    def forward(self, x: Tensor) -> Tensor:
        """Regions (R, C, h, w) of stage 3 to (R, 2 C, h / 2, w / 2)."""
        return self.norm(self.layer4(x))
