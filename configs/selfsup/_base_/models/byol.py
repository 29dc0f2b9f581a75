_base_ = './hosts_resnet50.py'

# The host's algorithm with the options of its own configs.
mlp = dict(
    type='mmselfsup.NonLinearNeck',
    hid_channels=4096,
    out_channels=256,
    num_layers=2,
    with_bias=True,
    with_last_bn=False)
model = dict(
    type='mmselfsup.BYOL',
    base_momentum=0.99,
    data_preprocessor=_base_.normalization,
    backbone=dict(**_base_.resnet50, norm_cfg=dict(type='SyncBN')),
    neck=dict(**mlp, in_channels=2048, with_avg_pool=True),
    head=dict(
        type='mmselfsup.LatentPredictHead',
        predictor=dict(**mlp, in_channels=256, with_avg_pool=False),
        loss=dict(type='mmselfsup.CosineSimilarityLoss')))
