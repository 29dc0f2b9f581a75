_base_ = './adco.py'

strong = [_base_.weak, dict(type='StrongAugment')]
large = dict(type='ViewCrop', size=224, scale=(0.2, 1.0))
small = dict(type='ViewCrop', size=96, scale=(0.086, 0.429))
# The key, the weak query, the strong query: it alone is small.
train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='MultiCrop',
        num_views=[2, 1],
        transforms=[[large, _base_.weak], [small, strong]]),
    dict(type='mmselfsup.PackSelfSupInputs', meta_keys=['img_path']),
]
