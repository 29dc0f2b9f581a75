_base_ = 'mask-rcnn_r50_fpn_ms-1x_coco.py'
train_cfg = dict(max_epochs=24)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=1000)
param_scheduler[1].update(end=24, milestones=[16, 22])
default_hooks = dict(
    results=dict(protocol='Mask R-CNN R50-FPN 2x, SyncBN, multi-scale'))
