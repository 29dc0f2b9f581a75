# Copyright (c) caco_ext authors. All rights reserved.
from .async_runtime_info_hook import AsyncRuntimeInfoHook
from .bank_fill_hook import BankFillHook
from .broken_pictures_hook import BrokenPicturesHook
from .checkpoint_hook import ResumableCheckpointHook
from .finite_check_hook import FiniteCheckHook, NonFiniteError
from .knn_hook import KNNHook
from .linear_probe_hook import LinearProbeHook
from .preemption_hook import PreemptionHook
from .run_record_hook import RunRecordHook
from .setup_check_hook import SetupCheckHook
from .sharded_memory_hook import ShardedMemoryHook
from .training_metrics_hook import TrainingMetricsHook

__all__ = [
    'BankFillHook', 'BrokenPicturesHook', 'ShardedMemoryHook',
    'FiniteCheckHook', 'KNNHook', 'LinearProbeHook', 'AsyncRuntimeInfoHook',
    'NonFiniteError', 'RunRecordHook', 'SetupCheckHook', 'PreemptionHook',
    'TrainingMetricsHook', 'ResumableCheckpointHook'
]
