_base_ = 'mmselfsup::selfsup/_base_/default_runtime.py'

# All that a stock trainer needs to know of this package.
custom_imports = dict(imports=['caco_ext'], allow_failed_imports=False)

# A dict, unlike custom_hooks: a child config changes or removes one entry
# (`default_hooks=dict(knn=None)`) without losing the others.
default_hooks = dict(
    runtime_info=dict(type='LateRuntimeInfoHook'),
    checkpoint=dict(type='WholeCheckpointHook', max_keep_ckpts=3),
    stop=dict(type='StopHook'),
    setup_check=dict(type='SetupCheckHook'),
    finite_check=dict(type='FiniteCheckHook'),
    bank_fill=dict(type='BankFillHook'),
    divided_memory=dict(type='DividedMemoryHook'),
    record=dict(type='RunRecordHook'),
    signals=dict(type='TrainSignalsHook', interval=50),
    broken_pictures=dict(type='BrokenPicturesHook'))

# A rank that hangs ends the job after so many seconds, one that dies at once.
env_cfg = dict(dist_cfg=dict(timeout=600))

vis_backends = [
    dict(type='LocalVisBackend'),
    dict(type='TensorboardVisBackend'),
]
visualizer = dict(vis_backends=vis_backends)
randomness = dict(seed=0)
