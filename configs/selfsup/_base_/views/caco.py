jitter = dict(
    type='ViewJitter',
    brightness=0.4,
    contrast=0.4,
    saturation=0.2,
    hue=0.1,
    prob=0.8)
grey = dict(type='ViewGray', prob=0.2)
flip = dict(type='ViewFlip', prob=0.5)
# Behind the crop: the two views differ in blur and solarisation.
first = [jitter, grey, dict(type='ViewBlur', sigma=(0.1, 2.0), prob=1.0), flip]
second = [
    jitter, grey,
    dict(type='ViewBlur', sigma=(0.1, 2.0), prob=0.1),
    dict(type='ViewSolarize', threshold=128, prob=0.2), flip
]
crop = dict(type='ViewCrop', size=224, scale=(0.2, 1.0))
train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='MultiCrop',
        num_views=[1, 1],
        transforms=[[crop, first], [crop, second]]),
    dict(type='mmselfsup.PackSelfSupInputs', meta_keys=['img_path']),
]
