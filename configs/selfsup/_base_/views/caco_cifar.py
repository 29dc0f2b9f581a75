_base_ = './caco.py'

# Without blur: in pictures of 32 pixels it would leave little.
crop = dict(_base_.crop, size=32)
first = [_base_.jitter, _base_.grey, _base_.flip]
second = [_base_.jitter, _base_.grey, _base_.solarize, _base_.flip]
views = dict(_base_.views, transforms=[[crop, first], [crop, second]])
train_pipeline = [_base_.load, views, _base_.pack]
