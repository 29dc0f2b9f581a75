# Copyright (c) caco_ext authors. All rights reserved.
from .adco_head import AdCoHead
from .bank_fill_head import BankFillHead
from .bank_head import BankHead
from .caco_head import CaCoHead
from .care_head import CAREHead
from .clsa_head import CLSAHead
from .distribution_matching_head import DistributionMatchingHead

__all__ = [
    'AdCoHead', 'BankFillHead', 'BankHead', 'CAREHead', 'CLSAHead', 'CaCoHead',
    'DistributionMatchingHead'
]
