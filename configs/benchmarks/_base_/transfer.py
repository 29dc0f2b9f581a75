# It also gives mmdet and mmseg operators if mmcv has none.
custom_imports = dict(imports=['caco_ext'], allow_failed_imports=False)
# Hooks that a benchmark adds to those of the host's trainer. Before the first
# step they verify the loaded weights, and check data, head and disk. The name
# differs from default_hooks, which the hosts' files use.
transfer_hooks = dict(
    pretrained=dict(type='PretrainedBackboneHook', checkpoint=None),
    data_check=dict(type='DataCheckHook'))
