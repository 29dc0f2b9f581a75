_base_ = './hosts_resnet50.py'

# The host's algorithm with the options of its own configs.
model = dict(
    type='mmselfsup.SimSiam',
    data_preprocessor=_base_.normalization,
    backbone=_base_.synced_resnet50,
    neck=dict(
        type='mmselfsup.NonLinearNeck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=2048,
        num_layers=3,
        with_last_bn_affine=False,
        with_avg_pool=True),
    head=dict(
        type='mmselfsup.LatentPredictHead',
        loss=dict(type='mmselfsup.CosineSimilarityLoss'),
        predictor=dict(
            type='mmselfsup.NonLinearNeck',
            in_channels=2048,
            hid_channels=512,
            out_channels=2048,
            with_avg_pool=False,
            with_last_bn=False,
            with_last_bias=True)))
