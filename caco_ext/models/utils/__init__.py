# Copyright (c) caco_ext authors. All rights reserved.
from .checks import (check_memory_width, check_temperature, check_view_count,
                     check_weight, gradients_wait, output_width)
from .momentum_encoder import MomentumEncoder
from .pair import Pair
from .schedules import Schedule
from .shuffle_bn import needs_shuffle, shuffled
from .small_map_conv import SmallMapConv2d
from .step_listener import call_after_step
from .view_batches import encode_views

__all__ = [
    'MomentumEncoder', 'Pair', 'Schedule', 'SmallMapConv2d', 'call_after_step',
    'check_memory_width', 'check_temperature', 'check_view_count',
    'check_weight', 'encode_views', 'gradients_wait', 'needs_shuffle',
    'output_width', 'shuffled'
]
