_base_ = './resnet50.py'

model = dict(
    type='AdCo',
    neck=dict(
        type='mmselfsup.MoCoV2Neck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128),
    head=dict(type='AdCoHead', temperature=0.12),
    memory=dict(
        type='LearnableBank',
        num_columns=65536,
        dim=128,
        temperature=0.02,
        lr=3.0,
        momentum=0.9,
        weight_decay=1e-4),
    momentum=0.999)
