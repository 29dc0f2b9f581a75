_base_ = './adco.py'

# Without blur: in pictures of 32 pixels it would leave little.
crop = dict(_base_.crop, size=32)
weak = [_base_.jitter, _base_.grey, _base_.flip]
views = dict(_base_.views, transforms=[[crop, weak]])
train_pipeline = [_base_.load, views, _base_.pack]
