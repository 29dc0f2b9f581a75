_base_ = 'mask-rcnn_r50-c4_ms-1x_coco.py'
# The host's own 2x of C4 stops after 12 epochs, at the first rate.
train_cfg = dict(max_epochs=24)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=1000)
param_scheduler[1].update(end=24, milestones=[16, 22])
default_hooks = dict(
    results=dict(
        protocol='Mask R-CNN R50-C4 2x, norm after res5, SyncBN, multi-scale'))
