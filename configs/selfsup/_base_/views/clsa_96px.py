_base_ = './clsa.py'

crop_size = 96
small_size = 40

crop = dict(_base_.crop, size=crop_size)
small = dict(_base_.small, size=small_size)
views = dict(
    _base_.views, transforms=[[crop, _base_.weak], [small, _base_.strong]])
train_pipeline = [_base_.load, views, _base_.pack]
