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
    saturation=0.4,
    hue=0.1,
    prob=0.8)
grey = dict(type='ViewRandomGrayscale', prob=0.2)
blur = dict(type='ViewGaussianBlur', sigma=(0.1, 2.0), prob=0.5)
flip = dict(type='ViewFlip', prob=0.5)
# Steps after the crop, for every view of AdCo and every weak view of CLSA.
weak = [jitter, grey, blur, flip]
views = dict(type='MultiCrop', num_views=[2], transforms=[[crop, weak]])
train_pipeline = [load, views, pack]
