# Copyright (c) caco_ext authors. All rights reserved.
from .convert import PARTS, convert
from .extraction import extract_backbone
from .files import CheckpointError, read_checkpoint
from .key_maps import METHODS, stack_names
from .official import Official, identify
from .report import Report
from .resnet import Architecture, detect
from .to_official import method_of, to_official
from .writing import beside, write_checkpoint

__all__ = [
    'METHODS', 'PARTS', 'Architecture', 'CheckpointError', 'Official',
    'Report', 'beside', 'convert', 'detect', 'extract_backbone', 'identify',
    'method_of', 'read_checkpoint', 'stack_names', 'to_official',
    'write_checkpoint'
]
