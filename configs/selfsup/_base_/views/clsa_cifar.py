_base_ = './clsa.py'

# Without blur: in pictures of 32 pixels it would leave little.
crop = dict(_base_.crop, size=32)
weak = [_base_.jitter, _base_.grey, _base_.flip]
small = dict(_base_.small, size=32, scale=(0.2, 1.0))
strong = [weak, dict(type='StrongAugment')]
views = dict(_base_.views, transforms=[[crop, weak], [small, strong]])
train_pipeline = [_base_.load, views, _base_.pack]
