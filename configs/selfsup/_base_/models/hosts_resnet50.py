# Common base of the models of the hosts' own methods.
normalization = dict(
    type='ViewDataPreprocessor',
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    bgr_to_rgb=True)
resnet50 = dict(
    type='mmselfsup.ResNet', depth=50, in_channels=3, out_indices=[4])
synced_resnet50 = dict(
    **resnet50, norm_cfg=dict(type='SyncBN'), zero_init_residual=True)
# For the small runs, whose pictures become maps of 2 x 2 places or one.
resnet18 = dict(depth=18, conv_cfg=dict(type='SmallMapConv2d'))
