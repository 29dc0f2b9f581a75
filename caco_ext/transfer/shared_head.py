"""The last stage as a RoI head, of any width."""
from typing import Optional

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor


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
        """Go on with the features of regions.

        Args:
            x (Tensor): (R, C, h, w) of stage 3.

        Returns:
            Tensor: (R, 2 C, h / 2, w / 2).
        """
        return self.norm(self.layer4(x))
