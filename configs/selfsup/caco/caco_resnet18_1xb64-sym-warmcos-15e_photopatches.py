_base_ = [
    '../_base_/models/caco.py', '../_base_/datasets/photopatches.py',
    '../_base_/views/caco.py', '../_base_/schedules/caco_200e.py'
]

# The quick start: a small network on small crops, for two CPU cores.
model = dict(
    fuse_views=True,
    backbone=_base_.small_backbone,
    neck=dict(in_channels=512, hid_channels=512, out_channels=128),
    memory=dict(num_columns=1024, dim=128, lr=dict(warmup=1)))
# Things come out about as large as in the 64-pixel pictures whose neighbours
# are sought.
crop = dict(type='ViewCrop', size=32, scale=(0.1, 0.6))
train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='MultiCrop',
        num_views=[1, 1],
        transforms=[[crop, _base_.first], [crop, _base_.second]]),
    dict(type='mmselfsup.PackSelfSupInputs', meta_keys=['img_path']),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

param_scheduler = [
    dict(type='LinearLR', start_factor=1.0, end=1),
    dict(
        type='CosineAnnealingLR',
        T_max=14,
        eta_min_ratio=0.01,
        begin=1,
        end=15)
]
train_cfg = dict(max_epochs=15)
# Neighbours take as long as 25 steps.
default_hooks = dict(knn=dict(interval=8))
auto_scale_lr = dict(base_batch_size=64)
