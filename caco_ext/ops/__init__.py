# Copyright (c) caco_ext authors. All rights reserved.
from .bank import bank_gradient, bank_logsumexp, softmax_mean
from .blocks import SoftmaxCache
from .collectives import (batch_shuffle, batch_unshuffle, concat_all_gather,
                          local_labels)
from .nearest import nearest_columns, pick_columns
from .sharding import UNSHARDED, Sharding

__all__ = [
    'SoftmaxCache', 'UNSHARDED', 'Sharding', 'bank_gradient', 'bank_logsumexp',
    'nearest_columns', 'pick_columns', 'concat_all_gather', 'local_labels',
    'batch_shuffle', 'softmax_mean', 'batch_unshuffle'
]
