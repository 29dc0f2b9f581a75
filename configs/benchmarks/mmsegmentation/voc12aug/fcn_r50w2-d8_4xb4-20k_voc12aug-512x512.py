_base_ = 'fcn_r50-d8_4xb4-20k_voc12aug-512x512.py'
# CARE's ResNet-50 (2x): inner widths doubled, which mmseg's ResNet does not
# know. mmcls's does not halve the first dilation of a stage, as mmseg's does.
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmcls.ResNet',
        depth=50,
        base_channels=128,
        expansion=2,
        out_indices=(0, 1, 2, 3),
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        norm_eval=False,
        style='pytorch'))
