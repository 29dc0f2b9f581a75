# Copyright (c) caco_ext authors. All rights reserved.
from .momentum_encoder import MomentumEncoder
from .schedules import Schedule
from .step_listener import call_after_step

__all__ = ['MomentumEncoder', 'Schedule', 'call_after_step']
