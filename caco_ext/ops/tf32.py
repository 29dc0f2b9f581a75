# Copyright (c) caco_ext authors. All rights reserved.
"""Matrix products in TF32, the fast format of NVIDIA's GPUs since Ampere."""
from contextlib import contextmanager
from typing import Iterator

import torch


@contextmanager
def tf32_products(enabled: bool) -> Iterator[None]:
    """Inside, a GPU multiplies float32 matrices in TF32.

    TF32 has the range of float32 and a mantissa of 10 bits, where float32
    has 23. Sums stay in float32. The setting is torch's, of the whole
    process; the old one comes back at the end.

    Args:
        enabled (bool): False leaves torch's setting as it is.
    """
    if not enabled:
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision('high')
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
