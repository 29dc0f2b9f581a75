_base_ = [
    'mmselfsup::benchmarks/mmdetection/voc0712/faster-rcnn_r50-c4_ms-24k_voc0712.py',  # noqa: E501
    '../../_base_/transfer.py'
]
# The first import also lends mmdet its operators where mmcv has none.
custom_imports = dict(
    imports=['caco_ext', 'mmselfsup.models.utils.res_layer_extra_norm'],
    allow_failed_imports=False)

# The host's file names the normalisation of its checkpoints and does not give
# it to the model, which would see BGR without a division by std. The hook
# loads backbone and shared head instead of two other checkpoints.
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(init_cfg=None),
    roi_head=dict(shared_head=dict(init_cfg=None)))

# The host's data sets cannot be inherited: their classes are looked for in
# mmselfsup, and the two years differ in an entry that has to be ignored.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='RandomChoiceResize',
        scales=[(1333, short) for short in range(480, 801, 32)],
        keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs')
]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmdet.ConcatDataset',
        ignore_keys=['dataset_type'],
        datasets=[
            dict(
                type='mmdet.VOCDataset',
                data_root='data/VOCdevkit/',
                ann_file=f'{year}/ImageSets/Main/trainval.txt',
                data_prefix=dict(sub_data_root=f'{year}/'),
                filter_cfg=dict(filter_empty_gt=True, min_size=32),
                pipeline=train_pipeline) for year in ('VOC2007', 'VOC2012')
        ]))

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
    **_base_.transfer_hooks,
    results=dict(
        type='ResultsHook',
        task='detection_voc0712',
        protocol='Faster R-CNN R50-C4 24k iterations, norm after res5, '
        'SyncBN, multi-scale; test VOC07'))
