_base_ = 'mmselfsup::selfsup/_base_/schedules/lars_coslr-200e_in1k.py'

# As the host's own configs of BYOL and SimCLR have it.
optim_wrapper = dict(
    optimizer=dict(type='mmselfsup.LARS', weight_decay=1e-6),
    paramwise_cfg=dict(
        custom_keys={
            'bn': dict(decay_mult=0, lars_exclude=True),
            'bias': dict(decay_mult=0, lars_exclude=True),
            'downsample.1': dict(decay_mult=0, lars_exclude=True)
        }))
