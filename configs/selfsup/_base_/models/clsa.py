_base_ = './resnet50.py'

width = 2048
feature_dim = 128
num_columns = 65536

model = dict(
    type='CLSA',
    neck=dict(
        type='mmselfsup.MoCoV2Neck',
        in_channels=2048,
        hid_channels=width,
        out_channels=feature_dim),
    head=dict(
        type='CLSAHead',
        temperature=0.2,
        alpha=1.0,
        matching=dict(type='DistributionMatchingHead', temperature=0.2)),
    memory=dict(type='FeatureQueue', num_columns=num_columns, dim=feature_dim),
    momentum=0.999)
