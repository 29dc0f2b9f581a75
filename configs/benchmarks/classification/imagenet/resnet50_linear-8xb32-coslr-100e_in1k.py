_base_ = 'mmselfsup::benchmarks/classification/imagenet/resnet50_linear-8xb32-coslr-100e_in1k.py'  # noqa: E501
# The probe of AdCo and CLSA: the learning rate is not scaled by the batch.
custom_imports = dict(imports=['caco_ext'], allow_failed_imports=False)

optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=10., momentum=0.9, weight_decay=0.))
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        T_max=100,
        eta_min=0.01,
        by_epoch=True,
        begin=0,
        end=100)
]

randomness = dict(seed=0)
default_hooks = dict(
    checkpoint=dict(save_best='accuracy/top1'),
    pretrained=dict(type='PretrainedBackboneHook', checkpoint=None),
    data_check=dict(type='DataCheckHook'),
    results=dict(
        type='ResultsHook',
        task='linear_imagenet',
        protocol='AdCo and CLSA: SGD lr 10, cosine to 0.01, 100 epochs'))
