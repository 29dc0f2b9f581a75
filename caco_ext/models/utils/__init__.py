# Copyright (c) caco_ext authors. All rights reserved.
from .momentum_encoder import MomentumEncoder
from .schedules import Schedule
from .step_listener import call_after_step
from .view_preprocessor import ViewPreprocessor

__all__ = [
    'MomentumEncoder', 'Schedule', 'ViewPreprocessor', 'call_after_step'
]
