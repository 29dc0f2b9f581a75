# Copyright (c) caco_ext authors. All rights reserved.
from .feature_queue import FeatureQueue
from .learnable_bank import LearnableBank
from .memory import Memory

__all__ = ['FeatureQueue', 'LearnableBank', 'Memory']
