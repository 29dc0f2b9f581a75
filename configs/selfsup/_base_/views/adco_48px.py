_base_ = './adco.py'

crop_size = 48
views = dict(
    _base_.views,
    transforms=[[dict(_base_.crop, size=crop_size), _base_.weak]])
train_pipeline = [_base_.load, views, _base_.pack]
