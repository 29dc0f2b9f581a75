_base_ = 'mask-rcnn_r50_fpn_ms-2x_coco.py'
model = dict(backbone=dict(depth=152))
