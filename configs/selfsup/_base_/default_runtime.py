# With mmpretrain, caco_ext provides this scope; see docs/hosts.md.
default_scope = 'mmselfsup'

# A stock trainer needs nothing else of this package.
custom_imports = dict(imports=['caco_ext'], allow_failed_imports=False)

# A dict, unlike custom_hooks: a child config changes or removes one entry
# (`default_hooks=dict(knn=None)`) without losing the others.
default_hooks = dict(
    runtime_info=dict(type='AsyncRuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    checkpoint=dict(
        type='ResumableCheckpointHook', interval=10, max_keep_ckpts=3),
    preemption=dict(type='PreemptionHook'),
    setup_check=dict(type='SetupCheckHook'),
    finite_check=dict(type='FiniteCheckHook'),
    bank_fill=dict(type='BankFillHook'),
    sharded_memory=dict(type='ShardedMemoryHook'),
    record=dict(type='RunRecordHook'),
    metrics=dict(type='TrainingMetricsHook', interval=50, bank_drift=True),
    broken_pictures=dict(type='BrokenPicturesHook'))

env_cfg = dict(
    # Time the algorithms of each convolution at the start, keep the fastest.
    cudnn_benchmark=True,
    # Where GPUs since Ampere may round float32 to 10 bits of mantissa: 'none',
    # 'convolutions' as torch does by itself, or 'all'.
    tf32='convolutions',
    # There are many workers, so each uses a single core.
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    # A rank that hangs ends the job after so many seconds; a rank that dies
    # ends it at once.
    dist_cfg=dict(backend='nccl', timeout=600))
log_level = 'INFO'
log_processor = dict(
    window_size=10,
    custom_cfg=[dict(data_src='', method='mean', window_size='global')])
load_from = None
resume = False

vis_backends = [
    dict(type='LocalVisBackend'),
    dict(type='TensorboardVisBackend'),
]
visualizer = dict(
    type='SelfSupVisualizer', vis_backends=vis_backends, name='visualizer')
randomness = dict(seed=0)
