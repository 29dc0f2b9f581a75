_base_ = './caco.py'

crop_size = 32
# In such crops, objects are about as large as in the 64-pixel pictures that
# kNN compares.
crop_scale = (0.1, 0.6)

crop = dict(_base_.crop, size=crop_size, scale=crop_scale)
views = dict(
    _base_.views, transforms=[[crop, _base_.first], [crop, _base_.second]])
train_pipeline = [_base_.load, views, _base_.pack]
