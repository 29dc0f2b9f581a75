# Copyright (c) caco_ext authors. All rights reserved.
from .attention_stack import AttentionStack

__all__ = ['AttentionStack']
