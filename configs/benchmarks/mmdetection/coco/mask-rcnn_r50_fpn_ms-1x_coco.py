_base_ = [
    'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    '../../_base_/multi_scale.py', '../../_base_/transfer.py'
]

# The hook loads the backbone.
norm_cfg = _base_.synced_norm
model = dict(
    backbone=dict(**_base_.trained_backbone, init_cfg=None),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_head=dict(type='Shared4Conv1FCBBoxHead', norm_cfg=norm_cfg),
        mask_head=dict(norm_cfg=norm_cfg)))
train_dataloader = dict(dataset=dict(pipeline=_base_.coco_pipeline))
results = dict(
    type='ResultsHook',
    task='detection_coco',
    protocol='Mask R-CNN R50-FPN 1x, SyncBN, multi-scale')
default_hooks = dict(**_base_.transfer_hooks, results=results)
