# The host's benchmark: linear layers on five maps. Its own file was written
# for an older engine: schedule, optimizer, packing and metric are not read or
# do not fit. Here they are as intended.
_base_ = [
    'mmcls::_base_/schedules/imagenet_bs256.py',
    'mmcls::_base_/default_runtime.py', './places205.py',
    '../../_base_/transfer.py'
]
data_preprocessor = dict(
    num_classes=205,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True)
# Maps of the stem and the four stages, as mmselfsup's ResNet counts them.
model = dict(
    type='ImageClassifier',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='mmselfsup.ResNet',
        depth=50,
        out_indices=[0, 1, 2, 3, 4],
        norm_cfg=dict(type='BN'),
        frozen_stages=4),
    head=dict(
        type='mmselfsup.MultiClsHead',
        pool_type='specified',
        in_indices=[0, 1, 2, 3, 4],
        with_last_layer_unpool=False,
        backbone='resnet50',
        norm_cfg=dict(type='SyncBN', momentum=0.1, affine=False),
        num_classes=205))

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=256),
    dict(type='CenterCrop', crop_size=256),
    dict(type='RandomCrop', crop_size=224),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackClsInputs')
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', scale=256),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackClsInputs')
]
loader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'))
train_dataloader = dict(
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**_base_.places_train, pipeline=train_pipeline))
val_dataloader = dict(
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**_base_.places_val, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='MultiHeadAccuracy', topk=(1, 5))
test_evaluator = val_evaluator
randomness = dict(seed=0)
