# Copyright (c) caco_ext authors. All rights reserved.
from .lars import CaCoLARS

__all__ = ['CaCoLARS']
