# Copyright (c) caco_ext authors. All rights reserved.
from typing import NamedTuple


class Pair(NamedTuple):
    """One term of a loss: which query meets which key.

    Attributes:
        query (int): Position of the view in ``query_views``.
        key (int): Position of the view in ``key_views``.
        weight (float): Weight of the term in the sum.
    """
    query: int
    key: int
    weight: float
