# Copyright (c) caco_ext authors. All rights reserved.
"""The mathematics of a learnable bank, in blocks of columns.

A bank is a raw matrix ``W = [w_1 .. w_K]`` of shape (C, K). What queries meet
are its normalised columns ``u_j = w_j / ||w_j||``. Nothing here keeps an
(N, K) array: every function walks over blocks of columns and scales the
product ``q . W`` by ``1 / ||w_j||`` instead of normalising a copy of the bank.
"""
from typing import Iterator, Optional, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

# 8192 columns of 256 rows are 8 MiB: large enough for the matrix product to
# run at full speed, small enough to stay near the caches.
BLOCK = 8192


def inverse_norms(columns: Tensor) -> Tensor:
    """Reciprocal Euclidean norm of each column.

    Args:
        columns (Tensor): Raw bank, (C, K).

    Returns:
        Tensor: (K, ), with the lower limit 1e-12 on the norm that
        ``torch.nn.functional.normalize`` uses.
    """
    return columns.norm(dim=0).clamp_min_(1e-12).reciprocal_()


def _blocks(columns: Tensor, block: int) -> Iterator[Tuple[slice, Tensor]]:
    for start in range(0, columns.size(1), block):
        part = slice(start, min(start + block, columns.size(1)))
        yield part, columns[:, part]


def _online_softmax(total: Tuple, logits: Tensor, values: Optional[Tensor]):
    """One block of a running log-sum-exp, with the weighted sum of values.

    ``total`` is (maximum, sum, weighted sum); rescaling by the change of the
    maximum keeps every exponent at or below zero, whatever the temperature.
    """
    high, mass, mean = total
    new = torch.maximum(high, logits.amax(dim=1))
    weights = (logits - new[:, None]).exp_()
    fade = (high - new).exp_()
    mass = mass * fade + weights.sum(dim=1)
    if values is not None:
        mean = torch.addmm(mean * fade[:, None], weights, values)
    return new, mass, mean


class _BankLogSumExp(torch.autograd.Function):
    """``log sum_j exp(q . u_j / t)`` with its gradient from the same pass."""

    @staticmethod
    def forward(ctx, queries, columns, temperature, second, block):
        n, c = queries.shape
        empty = queries.new_full((n, ), float('-inf'))
        zero = queries.new_zeros(n)
        first = (empty, zero, queries.new_zeros(n, c))
        other = (empty, zero, None)
        same = second is None or second == temperature
        inverse = inverse_norms(columns)
        for part, raw in _blocks(columns, block):
            cosines = (queries @ raw) * inverse[part]
            values = (raw * inverse[part]).t()
            first = _online_softmax(first, cosines / temperature, values)
            if not same:
                other = _online_softmax(other, cosines / second, None)
        high, mass, mean = first
        lse = high + mass.log()
        if same:
            other = first
        ctx.save_for_backward(mean / mass[:, None])
        ctx.temperature = temperature
        other = other[0] + other[1].log()
        ctx.mark_non_differentiable(other)
        return lse, other

    @staticmethod
    def backward(ctx, grad, _):
        mean, = ctx.saved_tensors
        return grad[:, None] * mean / ctx.temperature, None, None, None, None


def bank_logsumexp(queries: Tensor,
                   columns: Tensor,
                   temperature: float,
                   second: Optional[float] = None,
                   block: int = BLOCK) -> Tuple[Tensor, Tensor]:
    """Log-sum-exp of the queries' cosines with all columns of a bank.

    Args:
        queries (Tensor): Unit vectors, (N, C).
        columns (Tensor): Raw bank, (C, K); no gradient goes into it.
        temperature (float): Divides the cosines; the differentiable one.
        second (float, optional): Another temperature, evaluated in the same
            pass without gradient. Defaults to ``temperature``.
        block (int): Columns that are worked on at a time. Defaults to 8192.

    Returns:
        tuple[Tensor, Tensor]: (N, ) at ``temperature``, differentiable with
        respect to ``queries``, and (N, ) at ``second``.
    """
    return _BankLogSumExp.apply(queries, columns, temperature, second, block)


def bank_cosines(queries: Tensor, columns: Tensor, index: Tensor) -> Tensor:
    """Cosine of each query with one column.

    Args:
        queries (Tensor): Unit vectors, (N, C).
        columns (Tensor): Raw bank, (C, K).
        index (Tensor): Column of each query, (N, ) int64.

    Returns:
        Tensor: (N, ), differentiable with respect to ``queries``.
    """
    chosen = F.normalize(columns[:, index], dim=0)
    return torch.einsum('nc,cn->n', queries, chosen)


@torch.no_grad()
def nearest_columns(keys: Tensor,
                    columns: Tensor,
                    block: int = BLOCK) -> Tensor:
    """The column with the largest cosine for each key (CaCo's positive).

    Args:
        keys (Tensor): (N, C).
        columns (Tensor): Raw bank, (C, K).
        block (int): Columns that are worked on at a time. Defaults to 8192.

    Returns:
        Tensor: (N, ) int64; of equal ones the first, as ``argmax`` gives.
    """
    best = keys.new_full((keys.size(0), ), float('-inf'))
    index = torch.zeros(keys.size(0), dtype=torch.long, device=keys.device)
    inverse = inverse_norms(columns)
    for part, raw in _blocks(columns, block):
        value, place = ((keys @ raw) * inverse[part]).max(dim=1)
        better = value > best
        best = torch.where(better, value, best)
        index = torch.where(better, place + part.start, index)
    return index


@torch.no_grad()
def bank_gradient(queries: Tensor,
                  log_normalisers: Tensor,
                  columns: Tensor,
                  temperature: float,
                  corrections: Optional[Tuple[Tensor, Tensor, Tensor]] = None,
                  block: int = BLOCK) -> Iterator[Tuple[slice, Tensor]]:
    r"""Closed-form gradient with respect to the raw columns, in blocks.

    .. math::
        G_j = \frac{1}{\tau \|w_j\|} \sum_n c_{nj} (q_n - s_{nj} u_j), \quad
        c_{nj} = e^{s_{nj} / \tau - z_n} + \sum_{r: n_r = n, j_r = j} d_r

    where :math:`s_{nj} = q_n \cdot u_j`. The factor in parentheses is the
    derivative of the column's normalisation, so :math:`w_j \cdot G_j = 0`.
    With :math:`z_n` the logarithm of N times the softmax's denominator this is
    the gradient of the cross-entropy with respect to AdCo's negatives; the
    corrections add CaCo's positives. ``docs/bank_gradient.md`` derives both.

    Args:
        queries (Tensor): Unit vectors, (N, C).
        log_normalisers (Tensor): ``z``, (N, ). Weights of the rows are part
            of it: a row of weight a and denominator D has z = log(D / a).
        columns (Tensor): Raw bank, (C, K). May be changed by the caller
            inside a block once that block has been given out.
        temperature (float): The bank's temperature.
        corrections (tuple, optional): ``(rows, columns, d)``, each (M, ):
            what is added to the coefficient c of a row and a column. Defaults
            to None.
        block (int): Columns that are worked on at a time. Defaults to 8192.

    Yields:
        tuple[slice, Tensor]: A range of columns and their gradient, (C, n).
    """
    for part, raw in _blocks(columns, block):
        inverse = inverse_norms(raw)
        cosines = (queries @ raw) * inverse
        weights = (cosines / temperature - log_normalisers[:, None]).exp_()
        if corrections is not None:
            rows, places, amount = corrections
            # Those of other blocks are added as zeros: picking them out
            # would need their number on the host, a synchronisation.
            inside = (places >= part.start) & (places < part.stop)
            weights.index_put_(
                (rows, (places - part.start).clamp(0,
                                                   raw.size(1) - 1)),
                amount * inside,
                accumulate=True)
        radial = (weights * cosines).sum(dim=0) * inverse
        grad = torch.addcmul(queries.t() @ weights, raw, radial, value=-1)
        yield part, grad.mul_(inverse / temperature)
