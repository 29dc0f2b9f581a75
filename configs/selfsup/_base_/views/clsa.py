_base_ = './adco.py'

# The crop of the strong view.
small_size, small_scale = 96, (0.086, 0.429)

strong = [_base_.weak, dict(type='StrongAugment')]
small = dict(_base_.crop, size=small_size, scale=small_scale)
# The key, the weak query, the strong query. Only the strong one is small.
views = dict(
    type='MultiCrop',
    num_views=[2, 1],
    transforms=[[_base_.crop, _base_.weak], [small, strong]])
train_pipeline = [_base_.load, views, _base_.pack]
