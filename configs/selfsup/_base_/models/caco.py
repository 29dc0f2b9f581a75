_base_ = './resnet50.py'

width = 2048
feature_dim = 256
num_columns = 65536

# mmengine turns SyncBN into BN where only one process runs.
norm_cfg = dict(type='SyncBN')
model = dict(
    type='CaCo',
    backbone=dict(norm_cfg=norm_cfg),
    neck=dict(
        type='mmselfsup.NonLinearNeck',
        in_channels=2048,
        hid_channels=width,
        out_channels=feature_dim,
        num_layers=3,
        with_bias=False,
        with_last_bn=False,
        with_last_bias=False,
        norm_cfg=norm_cfg),
    head=dict(type='CaCoHead', temperature=0.08),
    memory=dict(
        type='LearnableBank',
        num_columns=num_columns,
        dim=feature_dim,
        temperature=0.08,
        lr=dict(start=3.0),
        momentum=0.9,
        weight_decay=0.),
    momentum=dict(start=0.99, end=1.0))
