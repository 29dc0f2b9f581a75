_base_ = './resnet50.py'

width = 4096
feature_dim = 256

norm_cfg = dict(type='SyncBN')
projector = dict(
    type='mmselfsup.NonLinearNeck',
    in_channels=2048,
    hid_channels=width,
    out_channels=feature_dim,
    num_layers=2,
    with_bias=True,
    with_last_bn=False,
    with_last_bias=True,
    norm_cfg=norm_cfg)
predictor = dict(
    type='mmselfsup.NonLinearNeck',
    in_channels=feature_dim,
    hid_channels=width,
    out_channels=feature_dim,
    num_layers=2,
    with_bias=True,
    with_last_bn=False,
    with_last_bias=True,
    with_avg_pool=False,
    norm_cfg=norm_cfg)
model = dict(
    type='CARE',
    backbone=dict(out_indices=[3, 4], norm_cfg=norm_cfg),
    # The original leaves the batch norms of this stack unsynchronised;
    # norm_cfg=dict(type='SyncBN') synchronises them.
    attention=dict(
        type='AttentionStack',
        in_channels=1024,
        out_channels=2048,
        img_size=224,
        norm_cfg=dict(type='BN')),
    neck=projector,
    attention_neck=projector,
    predictor=predictor,
    attention_predictor=predictor,
    head=dict(type='CAREHead', consistency_weight=100.),
    momentum=dict(start=0.99, end=1.0, by_epoch=False))
