_base_ = './care.py'

crop_size = 128

crop = dict(_base_.crop, size=crop_size)
views = dict(
    _base_.views, transforms=[[crop, _base_.first], [crop, _base_.second]])
train_pipeline = [_base_.load, views, _base_.pack]
