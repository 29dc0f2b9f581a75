# Copyright (c) caco_ext authors. All rights reserved.
from .bank_fill_hook import BankFillHook
from .broken_pictures_hook import BrokenPicturesHook
from .checkpoint_hook import WholeCheckpointHook
from .divided_memory_hook import DividedMemoryHook
from .finite_check_hook import FiniteCheckHook, NumbersGoneWrong
from .harvest_hook import HarvestHook
from .knn_hook import KNNHook
from .late_runtime_info_hook import LateRuntimeInfoHook
from .preview_hook import PreviewHook
from .run_record_hook import RunRecordHook
from .setup_check_hook import SetupCheckHook
from .stop_hook import StopHook
from .train_signals_hook import TrainSignalsHook

__all__ = [
    'BankFillHook', 'BrokenPicturesHook', 'DividedMemoryHook',
    'FiniteCheckHook', 'HarvestHook', 'KNNHook', 'LateRuntimeInfoHook',
    'NumbersGoneWrong', 'PreviewHook', 'RunRecordHook', 'SetupCheckHook',
    'StopHook', 'TrainSignalsHook', 'WholeCheckpointHook'
]
