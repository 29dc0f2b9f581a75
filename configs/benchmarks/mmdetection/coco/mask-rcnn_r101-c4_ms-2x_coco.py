_base_ = 'mask-rcnn_r50-c4_ms-2x_coco.py'
model = dict(
    backbone=dict(depth=101), roi_head=dict(shared_head=dict(depth=101)))
