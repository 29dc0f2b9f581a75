# The parts that mmselfsup's benchmark is made of. Its own file cannot be
# inherited: names in it would be looked for in mmselfsup, not in mmcls.
_base_ = [
    'mmcls::_base_/models/resnet50.py',
    'mmcls::_base_/datasets/imagenet_bs32_pil_resize.py',
    'mmcls::_base_/schedules/imagenet_bs256.py',
    'mmcls::_base_/default_runtime.py'
]
# The probe of AdCo and CLSA: the learning rate is not scaled by the batch.
custom_imports = dict(imports=['caco_ext'], allow_failed_imports=False)

model = dict(backbone=dict(frozen_stages=4))
loader = dict(collate_fn=dict(type='default_collate'), persistent_workers=True)
train_dataloader = dict(**loader)
val_dataloader = dict(**loader)
test_dataloader = val_dataloader
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=10., momentum=0.9, weight_decay=0.))
param_scheduler = dict(
    _delete_=True,
    type='CosineAnnealingLR',
    T_max=100,
    eta_min=0.01,
    by_epoch=True,
    begin=0,
    end=100)
train_cfg = dict(max_epochs=100)

randomness = dict(seed=0)
default_hooks = dict(
    checkpoint=dict(interval=10, max_keep_ckpts=3, save_best='accuracy/top1'),
    pretrained=dict(type='PretrainedBackboneHook', checkpoint=None),
    data_check=dict(type='DataCheckHook'),
    results=dict(
        type='ResultsHook',
        task='linear_imagenet',
        protocol='AdCo and CLSA: SGD lr 10, cosine to 0.01, 100 epochs'))
