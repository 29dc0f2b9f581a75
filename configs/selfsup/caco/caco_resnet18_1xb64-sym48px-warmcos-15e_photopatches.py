_base_ = './caco_resnet18_1xb64-sym-warmcos-15e_photopatches.py'

# The settings at which the original's own loop was measured.
model = dict(fuse_views=False)
crop = dict(type='ViewCrop', size=48, scale=(0.2, 1.0))
train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='MultiCrop',
        num_views=[1, 1],
        transforms=[[crop, _base_.first], [crop, _base_.second]]),
    dict(type='mmselfsup.PackSelfSupInputs', meta_keys=['img_path']),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
