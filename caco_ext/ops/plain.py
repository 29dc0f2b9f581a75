# Copyright (c) caco_ext authors. All rights reserved.
"""The bank's formulas in a few lines, for tests and for readers.

``bank.py`` computes the same block by block. These need N x K arrays.
"""
from typing import Optional, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F


def plain_logsumexp(queries: Tensor, columns: Tensor,
                    temperature: float) -> Tensor:
    """See :func:`bank_logsumexp`: (N, C) and (C, K) to (N, )."""
    cosines = queries @ F.normalize(columns, dim=0)
    return (cosines / temperature).logsumexp(dim=1)


def plain_softmax_mean(queries: Tensor, columns: Tensor,
                       temperature: float) -> Tensor:
    """See :func:`softmax_mean`: (N, C) and (C, K) to (N, C)."""
    unit = F.normalize(columns, dim=0)
    return (queries @ unit / temperature).softmax(dim=1) @ unit.t()


def plain_bank_gradient(
    queries: Tensor,
    log_normalisers: Tensor,
    columns: Tensor,
    temperature: float,
    corrections: Optional[Tuple[Tensor, Tensor, Tensor]] = None,
) -> Tensor:
    """See :func:`bank_gradient`: the whole G, (C, K), by autograd."""
    columns = columns.detach().requires_grad_()
    logits = queries @ F.normalize(columns, dim=0) / temperature
    coefficients = (logits - log_normalisers[:, None]).exp().detach()
    if corrections is not None:
        rows, places, amount = corrections
        coefficients.index_put_((rows, places), amount, accumulate=True)
    return torch.autograd.grad((coefficients * logits).sum(), columns)[0]
