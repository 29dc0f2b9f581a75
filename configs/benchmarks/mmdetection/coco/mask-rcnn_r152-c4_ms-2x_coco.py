_base_ = 'mask-rcnn_r50-c4_ms-2x_coco.py'
model = dict(
    backbone=dict(depth=152), roi_head=dict(shared_head=dict(depth=152)))
