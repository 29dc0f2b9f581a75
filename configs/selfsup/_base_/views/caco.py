crop_size = 224
# Share of the picture that a crop takes.
crop_scale = (0.2, 1.0)

load = dict(type='LoadImage')
pack = dict(type='mmselfsup.PackSelfSupInputs', meta_keys=['img_path'])
crop = dict(type='ViewRandomResizedCrop', size=crop_size, scale=crop_scale)
jitter = dict(
    type='ViewColorJitter',
    brightness=0.4,
    contrast=0.4,
    saturation=0.2,
    hue=0.1,
    prob=0.8)
grey = dict(type='ViewRandomGrayscale', prob=0.2)
solarize = dict(type='ViewSolarize', threshold=128, prob=0.2)
flip = dict(type='ViewFlip', prob=0.5)
# Steps after the crop. The two views differ in blur and solarisation.
first = [
    jitter, grey,
    dict(type='ViewGaussianBlur', sigma=(0.1, 2.0), prob=1.0), flip
]
second = [
    jitter, grey,
    dict(type='ViewGaussianBlur', sigma=(0.1, 2.0), prob=0.1), solarize, flip
]
views = dict(
    type='MultiCrop',
    num_views=[1, 1],
    transforms=[[crop, first], [crop, second]])
train_pipeline = [load, views, pack]
