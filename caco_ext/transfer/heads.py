"""Heads that the hosts lack."""
from typing import Any, Optional

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn


class NormedLinear(nn.Linear):
    """A linear layer followed by a batch norm.

    As in CARE's linear probe, processes do not synchronise the batch norm.

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
        **options (Any): Arguments of mmcls's ``LinearClsHead``. The linear
            layer is initialised as there, with N(0, 0.01) and 0.

    Returns:
        nn.Module: The head.
    """
    head = MODELS.build(dict(type='mmcls.LinearClsHead', **options))
    head.fc = NormedLinear(head.in_channels, head.num_classes)
    return head


@MODELS.register_module()
class LastStageExtraNorm(BaseModule):
    """Stage 4 of mmcls's ResNet, followed by a norm, for C4 detectors.

    The hosts' ``ResLayerExtraNorm`` does the same, but only for the usual
    widths. This class also supports CARE's ResNet-50 (2x).

    Args:
        depth (int): Depth of the ResNet.
        base_channels (int): Inner width of its first stage. Defaults to 64.
        expansion (int, optional): Ratio of outer to inner width. Defaults to
            None: the ratio that is usual for the depth.
        norm_cfg (dict): Config of all norms. Defaults to SyncBN.
        init_cfg (dict, optional): As in every mmengine module.
            Defaults to None.
    """

    def __init__(self,
                 depth: int,
                 base_channels: int = 64,
                 expansion: Optional[int] = None,
                 norm_cfg: dict = dict(type='SyncBN', requires_grad=True),
                 init_cfg: Optional[dict] = None) -> None:
        # Imported here, as pre-training does not need mmcv.
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
