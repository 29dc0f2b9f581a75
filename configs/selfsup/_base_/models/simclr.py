_base_ = './hosts_resnet50.py'

# The host's algorithm with the options of its own configs.
model = dict(
    type='mmselfsup.SimCLR',
    data_preprocessor=_base_.normalization,
    backbone=_base_.synced_resnet50,
    neck=dict(
        type='mmselfsup.NonLinearNeck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128,
        num_layers=2,
        with_avg_pool=True),
    head=dict(
        type='mmselfsup.ContrastiveHead',
        loss=dict(type='mmcls.CrossEntropyLoss'),
        temperature=0.1))
