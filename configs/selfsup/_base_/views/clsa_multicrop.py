_base_ = './adco_multicrop.py'

strong = [_base_.weak, dict(type='StrongAugment')]
# The key, a weak query of each size, a strong query of each size.
views = dict(
    type='MultiCrop',
    num_views=[2] + [1] * 9,
    transforms=[[
        dict(type='ViewRandomResizedCrop', size=size, scale=scale), steps
    ] for steps in (_base_.weak, strong)
                for size, scale in zip(_base_.crop_sizes, _base_.crop_scales)])
train_pipeline = [_base_.load, views, _base_.pack]
