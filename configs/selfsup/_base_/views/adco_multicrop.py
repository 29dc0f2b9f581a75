_base_ = './adco.py'

crop_sizes = (224, 192, 160, 128, 96)
crop_scales = ((0.2, 1.0), (0.172, 0.86), (0.143, 0.715), (0.114, 0.571),
               (0.086, 0.429))

# The key, then a query of each size.
views = dict(
    type='MultiCrop',
    num_views=[2, 1, 1, 1, 1],
    transforms=[[
        dict(type='ViewRandomResizedCrop', size=size, scale=scale), _base_.weak
    ] for size, scale in zip(crop_sizes, crop_scales)])
train_pipeline = [_base_.load, views, _base_.pack]
