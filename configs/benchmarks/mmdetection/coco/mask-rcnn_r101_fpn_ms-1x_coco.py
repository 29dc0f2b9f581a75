_base_ = 'mask-rcnn_r50_fpn_ms-1x_coco.py'
model = dict(backbone=dict(depth=101))
