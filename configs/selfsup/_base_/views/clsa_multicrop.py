_base_ = './adco.py'

strong = [_base_.weak, dict(type='StrongAugment')]
crops = [
    dict(type='ViewCrop', size=224, scale=(0.2, 1.0)),
    dict(type='ViewCrop', size=192, scale=(0.172, 0.86)),
    dict(type='ViewCrop', size=160, scale=(0.143, 0.715)),
    dict(type='ViewCrop', size=128, scale=(0.114, 0.571)),
    dict(type='ViewCrop', size=96, scale=(0.086, 0.429)),
]
# The key, a weak query of each size, a strong query of each size.
train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='MultiCrop',
        num_views=[2] + [1] * 9,
        transforms=[
            [crops[0], _base_.weak],
            [crops[1], _base_.weak],
            [crops[2], _base_.weak],
            [crops[3], _base_.weak],
            [crops[4], _base_.weak],
            [crops[0], strong],
            [crops[1], strong],
            [crops[2], strong],
            [crops[3], strong],
            [crops[4], strong],
        ]),
    dict(type='mmselfsup.PackSelfSupInputs', meta_keys=['img_path']),
]
