_base_ = [
    '../_base_/models/adco.py',
    '../_base_/datasets/photopatches.py',
    '../_base_/views/adco.py',
    '../_base_/schedules/adco_200e.py',
]

# The settings at which the original's own loop was measured.
model = dict(
    backbone=_base_.small_backbone,
    neck=dict(in_channels=512, hid_channels=512),
    memory=dict(num_columns=1024),
    momentum=0.99)
crop = dict(type='ViewCrop', size=48, scale=(0.2, 1.0))
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='MultiCrop', num_views=[2], transforms=[[crop, _base_.weak]]),
    dict(type='mmselfsup.PackSelfSupInputs', meta_keys=['img_path']),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=0.06))
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=15, eta_min=0.0012, end=15)
]
train_cfg = dict(max_epochs=15)
auto_scale_lr = dict(base_batch_size=64)
