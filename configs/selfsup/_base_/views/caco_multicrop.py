_base_ = './adco.py'

large_size, large_scale = 224, (0.14, 1.0)
small_size, small_scale = 96, (0.05, 0.14)

# All crops use AdCo's recipe. It has more saturation than CaCo's for two
# views.
views = dict(
    type='MultiCrop',
    num_views=[2, 6],
    transforms=[
        [dict(_base_.crop, size=large_size, scale=large_scale), _base_.weak],
        [dict(_base_.crop, size=small_size, scale=small_scale), _base_.weak],
    ])
train_pipeline = [_base_.load, views, _base_.pack]
