_base_ = './hosts_resnet50.py'

# The host's algorithm with the options of its own configs.
model = dict(
    type='mmselfsup.SimCLR',
    data_preprocessor=_base_.normalization,
    backbone=dict(
        **_base_.resnet50,
        norm_cfg=dict(type='SyncBN'),
        zero_init_residual=True),
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
