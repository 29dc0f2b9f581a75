# CARE's ResNet-50 (2x): inner widths doubled.
wide = dict(base_channels=128, expansion=2)
# mmdet's ResNet does not support it.
wide_backbone = dict(type='mmcls.ResNet', **wide)
wide_fpn = dict(backbone=wide_backbone)
wide_c4 = dict(backbone=wide_backbone, roi_head=dict(shared_head=dict(**wide)))
# Nor does mmseg's. Unlike mmseg's, mmcls's ResNet does not halve the first
# dilation of a stage.
wide_d8 = dict(
    backbone=dict(
        **wide_backbone,
        _delete_=True,
        depth=50,
        out_indices=(0, 1, 2, 3),
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        norm_eval=False,
        style='pytorch'))
