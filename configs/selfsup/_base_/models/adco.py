_base_ = './resnet50.py'

width = 2048
feature_dim = 128
num_columns = 65536

model = dict(
    type='AdCo',
    neck=dict(
        type='mmselfsup.MoCoV2Neck',
        in_channels=2048,
        hid_channels=width,
        out_channels=feature_dim),
    head=dict(type='AdCoHead', temperature=0.12),
    memory=dict(
        type='LearnableBank',
        num_columns=num_columns,
        dim=feature_dim,
        temperature=0.02,
        lr=3.0,
        momentum=0.9,
        weight_decay=1e-4),
    momentum=0.999)
