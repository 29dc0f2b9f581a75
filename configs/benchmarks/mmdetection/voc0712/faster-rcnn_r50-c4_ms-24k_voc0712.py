_base_ = [
    'mmdet::pascal_voc/faster-rcnn_r50-caffe-c4_ms-18k_voc0712.py',
    '../../_base_/multi_scale.py', '../../_base_/transfer.py'
]
# It also lends mmdet its operators where mmcv has none.
custom_imports = dict(imports=['caco_ext'], allow_failed_imports=False)

# The hook loads backbone and shared head.
model = dict(data_preprocessor=_base_.rgb, **_base_.trained_c4)
# The two years differ in an entry that has to be ignored.
train_dataloader = dict(dataset=dict(ignore_keys=['dataset_type']))

train_cfg = dict(max_iters=24000, val_interval=2000)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=24000, milestones=[18000, 22000])

# The papers' AP, AP50 and AP75 are means of VOC's 11-point AP over these
# overlaps (detectron2's evaluator); AP50 is the usual mAP.
voc_evaluator = dict(
    type='mmdet.VOCMetric',
    metric='mAP',
    eval_mode='11points',
    iou_thrs=[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95])
# COCO's own definition needs the ground truth along with the predictions.
val_evaluator = [
    voc_evaluator,
    dict(type='mmdet.CocoMetric', metric='bbox', format_only=False)
]
test_evaluator = val_evaluator
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor', 'instances'))
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
default_hooks = dict(
    checkpoint=dict(interval=2000),
    **_base_.transfer_hooks,
    results=dict(
        type='ResultsHook',
        task='detection_voc0712',
        protocol='Faster R-CNN R50-C4 24k iterations, norm after res5, '
        'SyncBN, multi-scale; test VOC07'))
