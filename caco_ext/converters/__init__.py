# Copyright (c) caco_ext authors. All rights reserved.
from caco_ext.utils.checkpoints import CheckpointError, read_checkpoint
from .backbones import extract_backbone
from .convert import PARTS, Report, convert
from .files import add_source_arguments, beside, write_checkpoint
from .key_maps import METHODS, stack_names
from .official import Official, identify
from .resnet import Architecture, detect
from .to_official import method_of, to_official

__all__ = [
    'METHODS', 'PARTS', 'Architecture', 'CheckpointError', 'Official',
    'Report', 'add_source_arguments', 'beside', 'convert', 'detect',
    'extract_backbone', 'identify', 'method_of', 'read_checkpoint',
    'stack_names', 'to_official', 'write_checkpoint'
]
