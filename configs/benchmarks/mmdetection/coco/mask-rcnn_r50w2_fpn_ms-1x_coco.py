_base_ = 'mask-rcnn_r50_fpn_ms-1x_coco.py'
# CARE's ResNet-50 (2x): inner widths doubled, which mmdet's ResNet does not
# know.
model = dict(
    backbone=dict(type='mmcls.ResNet', base_channels=128,
                  expansion=2))  # noqa: E501
