# Copyright (c) caco_ext authors. All rights reserved.
from .bank_fill_hook import BankFillHook
from .broken_pictures_hook import BrokenPicturesHook
from .divided_memory_hook import DividedMemoryHook
from .knn_hook import KNNHook
from .setup_check_hook import SetupCheckHook
from .train_signals_hook import TrainSignalsHook

__all__ = [
    'BankFillHook', 'DividedMemoryHook', 'BrokenPicturesHook', 'KNNHook',
    'SetupCheckHook', 'TrainSignalsHook'
]
