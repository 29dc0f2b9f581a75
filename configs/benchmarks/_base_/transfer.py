# It also lends mmdet and mmseg their operators where mmcv has none.
custom_imports = dict(imports=['caco_ext'], allow_failed_imports=False)
# What a benchmark in a host's trainer adds to the host's own hooks: the
# weights are proven to be there, and data, head and disk are compared, before
# the first step. Named apart, because the hosts' files have default_hooks.
transfer_hooks = dict(
    pretrained=dict(type='PretrainedBackboneHook', checkpoint=None),
    data_check=dict(type='DataCheckHook'))
