_base_ = 'mmselfsup::benchmarks/classification/places205/resnet50_mhead_8xb32-steplr-28e_places205.py'  # noqa: E501
# The host's file is one of an older engine: its schedule, optimizer, packing
# and metric are not read or do not fit. They stand here as it means them.
custom_imports = dict(imports=['caco_ext'], allow_failed_imports=False)

# Five maps, of the stem and each stage, as the host's ResNet numbers them.
model = dict(backbone=dict(type='mmselfsup.ResNet'))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=256),
    dict(type='CenterCrop', crop_size=256),
    dict(type='RandomCrop', crop_size=224),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackClsInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=256),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackClsInputs')
]
train_dataloader = dict(
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='mmselfsup.Places205', pipeline=train_pipeline))
val_dataloader = dict(
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='mmselfsup.Places205', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    _delete_=True,
    type='mmselfsup.MultiHeadEvaluator',
    metrics={
        f'head{i}': dict(type='mmcls.Accuracy', topk=(1, 5))
        for i in range(5)
    })
test_evaluator = val_evaluator

optim_wrapper = dict(
    optimizer=dict(
        type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4, nesterov=True),
    paramwise_cfg=dict(norm_decay_mult=0.))
train_cfg = dict(max_epochs=28)
val_cfg = dict()
test_cfg = dict()

randomness = dict(seed=0)
default_hooks = dict(
    checkpoint=dict(save_best='auto'),
    pretrained=dict(type='PretrainedBackboneHook', checkpoint=None),
    data_check=dict(type='DataCheckHook'),
    results=dict(
        type='ResultsHook',
        task='linear_places205',
        protocol='host: linear layers on five maps, SGD lr 0.01, 28 epochs'))
