# Copyright (c) caco_ext authors. All rights reserved.
from .bank import (bank_cosines, bank_gradient, bank_logsumexp, inverse_norms,
                   nearest_columns)
from .gather import gather, own_rows, shuffle, unshuffle

__all__ = [
    'bank_cosines', 'bank_gradient', 'bank_logsumexp', 'inverse_norms',
    'nearest_columns', 'gather', 'own_rows', 'shuffle', 'unshuffle'
]
