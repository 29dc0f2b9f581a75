_base_ = './resnet50.py'

model = dict(
    type='CLSA',
    neck=dict(
        type='mmselfsup.MoCoV2Neck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128),
    head=dict(
        type='CLSAHead',
        temperature=0.2,
        alpha=1.0,
        matching=dict(type='DistributionMatchingHead', temperature=0.2)),
    memory=dict(type='FeatureQueue', num_columns=65536, dim=128),
    momentum=0.999)
