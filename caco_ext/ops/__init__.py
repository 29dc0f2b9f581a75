# Copyright (c) caco_ext authors. All rights reserved.
from .bank import bank_gradient, bank_logsumexp, nearest_columns, pick_columns
from .gather import gather, own_rows, shuffle, unshuffle
from .shards import WHOLE, Shards

__all__ = [
    'WHOLE', 'Shards', 'bank_gradient', 'bank_logsumexp', 'nearest_columns',
    'pick_columns', 'gather', 'own_rows', 'shuffle', 'unshuffle'
]
