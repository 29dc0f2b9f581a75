# Copyright (c) caco_ext authors. All rights reserved.
from .adco import AdCo
from .bank_contrast import BankContrast
from .base import BaseMomentumMethod
from .caco import CaCo
from .care import CARE
from .clsa import CLSA
from .strong_views import StrongViews

__all__ = [
    'AdCo', 'BankContrast', 'CARE', 'CLSA', 'CaCo', 'BaseMomentumMethod',
    'StrongViews'
]
