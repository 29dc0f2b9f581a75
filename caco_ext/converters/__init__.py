# Copyright (c) caco_ext authors. All rights reserved.
from .back import method_of, to_official
from .convert import PARTS, Report, convert
from .files import CheckpointError, beside, read_checkpoint, write_checkpoint
from .key_maps import METHODS, stack_names
from .official import Official, identify
from .resnet import Architecture, detect

__all__ = [
    'METHODS', 'PARTS', 'Architecture', 'CheckpointError', 'Official',
    'Report', 'beside', 'convert', 'detect', 'identify', 'method_of',
    'read_checkpoint', 'stack_names', 'to_official', 'write_checkpoint'
]
