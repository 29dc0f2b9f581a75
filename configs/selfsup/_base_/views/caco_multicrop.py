_base_ = './adco.py'

# One recipe for all crops, AdCo's: it has more saturation than the two-view
# one of CaCo.
train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='MultiCrop',
        num_views=[2, 6],
        transforms=[
            [dict(type='ViewCrop', size=224, scale=(0.14, 1.0)), _base_.weak],
            [dict(type='ViewCrop', size=96, scale=(0.05, 0.14)), _base_.weak],
        ]),
    dict(type='mmselfsup.PackSelfSupInputs', meta_keys=['img_path']),
]
