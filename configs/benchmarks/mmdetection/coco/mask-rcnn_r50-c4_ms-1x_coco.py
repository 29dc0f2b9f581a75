_base_ = [
    'mmdet::mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py',
    '../../_base_/multi_scale.py', '../../_base_/transfer.py'
]

# The hook loads backbone and shared head.
model = dict(data_preprocessor=_base_.rgb, **_base_.trained_c4)
train_dataloader = dict(dataset=dict(pipeline=_base_.coco_pipeline))
default_hooks = dict(
    **_base_.transfer_hooks,
    results=dict(
        type='ResultsHook',
        task='detection_coco',
        protocol='Mask R-CNN R50-C4 1x, norm after res5, SyncBN, multi-scale'))
