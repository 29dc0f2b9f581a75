_base_ = './caco.py'

# CaCo's steps in another order: blur before grey, flip late, solarisation
# last; and smaller crops.
first = [
    _base_.jitter,
    dict(type='ViewBlur', sigma=(0.1, 2.0), prob=1.0), _base_.grey, _base_.flip
]
second = [
    _base_.jitter,
    dict(type='ViewBlur', sigma=(0.1, 2.0), prob=0.1), _base_.grey,
    _base_.flip,
    dict(type='ViewSolarize', threshold=128, prob=0.2)
]
crop = dict(type='ViewCrop', size=224, scale=(0.08, 1.0))
train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='MultiCrop',
        num_views=[1, 1],
        transforms=[[crop, first], [crop, second]]),
    dict(type='mmselfsup.PackSelfSupInputs', meta_keys=['img_path']),
]
