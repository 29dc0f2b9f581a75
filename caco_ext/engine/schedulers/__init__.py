# Copyright (c) caco_ext authors. All rights reserved.
from .inclusive_linear_lr import InclusiveLinearLR

__all__ = ['InclusiveLinearLR']
