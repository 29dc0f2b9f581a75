# Common base of the four methods' models.
model = dict(
    channels_last=True,
    data_preprocessor=dict(
        type='ViewDataPreprocessor',
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        bgr_to_rgb=True),
    backbone=dict(
        type='mmselfsup.ResNet',
        depth=50,
        out_indices=[4],
        norm_cfg=dict(type='BN'),
        zero_init_residual=False))
