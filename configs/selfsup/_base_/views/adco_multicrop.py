_base_ = './adco.py'

crops = [
    dict(type='ViewCrop', size=224, scale=(0.2, 1.0)),
    dict(type='ViewCrop', size=192, scale=(0.172, 0.86)),
    dict(type='ViewCrop', size=160, scale=(0.143, 0.715)),
    dict(type='ViewCrop', size=128, scale=(0.114, 0.571)),
    dict(type='ViewCrop', size=96, scale=(0.086, 0.429)),
]
# The key, then a query of each size.
train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='MultiCrop',
        num_views=[2, 1, 1, 1, 1],
        transforms=[
            [crops[0], _base_.weak],
            [crops[1], _base_.weak],
            [crops[2], _base_.weak],
            [crops[3], _base_.weak],
            [crops[4], _base_.weak],
        ]),
    dict(type='mmselfsup.PackSelfSupInputs', meta_keys=['img_path']),
]
