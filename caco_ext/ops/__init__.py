# Copyright (c) caco_ext authors. All rights reserved.
from .bank import bank_gradient, bank_logsumexp, softmax_mean
from .collectives import (batch_shuffle, batch_unshuffle, concat_all_gather,
                          local_labels)
from .nearest import nearest_columns, pick_columns
from .plain import plain_bank_gradient, plain_logsumexp, plain_softmax_mean
from .sharding import UNSHARDED, Sharding
from .softmax_cache import SoftmaxCache
from .tf32 import tf32_products

__all__ = [
    'UNSHARDED', 'Sharding', 'SoftmaxCache', 'bank_gradient', 'bank_logsumexp',
    'batch_shuffle', 'batch_unshuffle', 'concat_all_gather', 'local_labels',
    'nearest_columns', 'pick_columns', 'plain_bank_gradient',
    'plain_logsumexp', 'plain_softmax_mean', 'softmax_mean', 'tf32_products'
]
