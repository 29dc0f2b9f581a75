_base_ = './hosts_resnet50.py'

# The host's algorithm with the options of its own configs. They are repeated
# here, as the hosts have them in files of different names.
model = dict(
    type='mmselfsup.MoCo',
    queue_len=65536,
    feat_dim=128,
    momentum=0.999,
    data_preprocessor=_base_.normalization,
    backbone=dict(**_base_.resnet50, norm_cfg=dict(type='BN')),
    neck=dict(
        type='mmselfsup.MoCoV2Neck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128,
        with_avg_pool=True),
    head=dict(
        type='mmselfsup.ContrastiveHead',
        loss=dict(type='mmcls.CrossEntropyLoss'),
        temperature=0.2))
