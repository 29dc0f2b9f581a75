# Copyright (c) caco_ext authors. All rights reserved.
from .adco import AdCo
from .caco import CaCo
from .care import CARE
from .clsa import CLSA
from .strong_views import StrongViews

__all__ = ['AdCo', 'CARE', 'CLSA', 'CaCo', 'StrongViews']
