_base_ = 'faster-rcnn_r50-c4_ms-24k_voc0712.py'
model = dict(
    backbone=dict(depth=101), roi_head=dict(shared_head=dict(depth=101)))
