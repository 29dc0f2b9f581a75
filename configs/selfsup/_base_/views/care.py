_base_ = './caco.py'

crop_scale = (0.08, 1.0)

# CaCo's steps in another order (blur before grey, flip late, solarisation
# last), with smaller crops.
crop = dict(_base_.crop, scale=crop_scale)
first = [
    _base_.jitter,
    dict(type='ViewGaussianBlur', sigma=(0.1, 2.0), prob=1.0), _base_.grey,
    _base_.flip
]
second = [
    _base_.jitter,
    dict(type='ViewGaussianBlur', sigma=(0.1, 2.0), prob=0.1), _base_.grey,
    _base_.flip, _base_.solarize
]
views = dict(_base_.views, transforms=[[crop, first], [crop, second]])
train_pipeline = [_base_.load, views, _base_.pack]
