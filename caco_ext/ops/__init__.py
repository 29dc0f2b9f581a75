# Copyright (c) caco_ext authors. All rights reserved.
from .bank import bank_gradient, bank_logsumexp, softmax_mean
from .blocks import Kept
from .gather import gather, own_rows, shuffle, unshuffle
from .nearest import nearest_columns, pick_columns
from .shards import WHOLE, Shards

__all__ = [
    'Kept', 'WHOLE', 'Shards', 'bank_gradient', 'bank_logsumexp',
    'nearest_columns', 'pick_columns', 'gather', 'own_rows', 'shuffle',
    'softmax_mean', 'unshuffle'
]
