# As the host's own configs of BYOL and SimCLR have it.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='mmselfsup.LARS', lr=4.8, weight_decay=1e-6, momentum=0.9),
    paramwise_cfg=dict(
        custom_keys={
            'bn': dict(decay_mult=0, lars_exclude=True),
            'bias': dict(decay_mult=0, lars_exclude=True),
            'downsample.1': dict(decay_mult=0, lars_exclude=True)
        }))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-4, end=10,
        convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=190, begin=10, end=200)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=200)
