_base_ = './care.py'

# Without blur: in pictures of 32 pixels it would leave little.
crop = dict(_base_.crop, size=32)
first = [_base_.jitter, _base_.grey, _base_.flip]
second = [*first, _base_.solarize]
views = dict(_base_.views, transforms=[[crop, first], [crop, second]])
train_pipeline = [_base_.load, views, _base_.pack]
