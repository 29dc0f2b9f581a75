# The order matters: blur before grey, flip late, solarisation last.
jitter = dict(
    type='ViewJitter',
    brightness=0.4,
    contrast=0.4,
    saturation=0.2,
    hue=0.1,
    prob=0.8)
grey = dict(type='ViewGray', prob=0.2)
flip = dict(type='ViewFlip', prob=0.5)
first = [jitter, dict(type='ViewBlur', sigma=(0.1, 2.0), prob=1.0), grey, flip]
second = [
    jitter,
    dict(type='ViewBlur', sigma=(0.1, 2.0), prob=0.1), grey, flip,
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
