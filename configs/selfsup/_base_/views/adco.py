# Behind the crop, every view of AdCo and every weak view of CLSA.
weak = [
    dict(
        type='ViewJitter',
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        prob=0.8),
    dict(type='ViewGray', prob=0.2),
    dict(type='ViewBlur', sigma=(0.1, 2.0), prob=0.5),
    dict(type='ViewFlip', prob=0.5),
]
train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='MultiCrop',
        num_views=[2],
        transforms=[[dict(type='ViewCrop', size=224, scale=(0.2, 1.0)),
                     weak]]),
    dict(type='mmselfsup.PackSelfSupInputs', meta_keys=['img_path']),
]
