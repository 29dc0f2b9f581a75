# Copyright (c) caco_ext authors. All rights reserved.
from .larc import LARC
from .lars import CaCoLARS

__all__ = ['CaCoLARS', 'LARC']
