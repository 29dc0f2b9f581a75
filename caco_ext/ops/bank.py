# Copyright (c) caco_ext authors. All rights reserved.
"""The mathematics of a learnable bank, in blocks of columns.

A bank is a raw matrix ``W = [w_1 .. w_K]`` of shape (C, K). What queries meet
are its normalised columns ``u_j = w_j / ||w_j||``. Nothing here makes a
normalised copy of the bank or an (N, K) array, but for weights that a
:class:`SoftmaxCache` of limited size may hold: every function walks over blocks of
columns that fit the caches, and makes again what it needs again.

Where a memory is sharded over ranks, ``sharding`` says so: ``columns`` are then
those of this rank, queries are gathered, and what each rank finds for them is
reduced. ``docs/bank_gradient.md`` derives the formulas.
"""
from typing import Callable, Optional, Tuple

import torch
from torch import Tensor

from .blocks import (Blocks, SoftmaxCache, chunks_of_blocks, parallel_map,
                     workspace)
from .sharding import UNSHARDED, Sharding

# Cosines of unit vectors, divided by a temperature, are at most its inverse.
# Below this bound exponentials, their sums over a bank and the inverse of
# those are within float32: no maximum has to be taken off.
BOUND = 60.


def inverse_norms(columns: Tensor, square: Tensor) -> Tensor:
    """1 / ||w_j||, with the limit that normalize has.

    Args:
        columns (Tensor): Raw ones, (C, n).
        square (Tensor): Room for as many.

    Returns:
        Tensor: (n, ).
    """
    # Not norm(): along the first axis it takes ten times as long.
    torch.mul(columns, columns, out=square)
    return square.sum(dim=0).clamp_min_(1e-24).rsqrt_()


class _BankLogSumExp(torch.autograd.Function):
    """``log sum_j exp(q . u_j / t)``, that at another temperature, and the
    columns' mean with the softmax' weights, which is the gradient."""

    @staticmethod
    def forward(ctx, queries, columns, temperature, bank_temperature, block,
                sharding, cache, with_mean):
        all_queries = sharding.gather(queries)
        n, c = all_queries.shape
        ratio = temperature / bank_temperature
        bounded = 1 / min(temperature, bank_temperature) <= BOUND
        if not bounded or not ctx.needs_input_grad[0]:
            cache = None
        with_mean = with_mean or ctx.needs_input_grad[0]
        if cache is not None:
            cache.start(queries, all_queries, columns)
        fit = 0 if cache is None else len(cache.weights)
        scaled = (all_queries / temperature).t()
        chunks = chunks_of_blocks(columns, n, block)

        def visit(blocks: Blocks) -> Tuple[Tensor, Tensor]:
            high = all_queries.new_full((n, ),
                                        0. if bounded else float('-inf'))
            total = all_queries.new_zeros(c + 2, n)
            mean, mass, other = total[:c], total[-2], total[-1]
            for part in blocks:
                size = part.stop - part.start
                unit = workspace('unit', columns, c, size)
                product = workspace('product', columns, c, size)
                logits = workspace('logits', columns, size, n)
                weights = cache.weights[part] if part.stop <= fit else (
                    workspace('weights', columns, size, n))
                unit.copy_(columns[:, part])  # rows far apart: read once
                inverse = inverse_norms(unit, product)
                if cache is not None:
                    cache.inverse[part] = inverse
                torch.mm(unit.mul_(inverse).t(), scaled, out=logits)
                if not bounded:
                    new = torch.maximum(high, logits.amax(dim=0))
                    fade, high = (high - new).exp_(), new
                    total[:-1].mul_(fade)
                    other.mul_(fade**ratio)
                    logits.sub_(high)
                if ratio != 1:
                    torch.mul(logits, ratio, out=weights).exp_()
                    other.add_(weights.sum(dim=0))
                    weights = logits.exp_()
                else:
                    torch.exp(logits, out=weights)
                mass.add_(weights.sum(dim=0))
                if with_mean:
                    mean.addmm_(unit, weights)
            return total, high

        totals, highs = map(torch.stack, zip(*parallel_map(visit, chunks)))
        top = highs.amax(dim=0)
        if not bounded:
            sharding.reduce(top, 'max')
            fade = (highs - top)[:, None].exp_()
            totals[:, :-1].mul_(fade)
            totals[:, -1:].mul_(fade**ratio)
        total = sharding.local_rows(
            sharding.reduce(totals.sum(dim=0).t().contiguous()))
        top = sharding.local_rows(top)
        mean, mass, other = total.split((c, 1, 1), dim=1)
        lse = top + mass[:, 0].log()
        other = top * ratio + other[:, 0].log() if ratio != 1 else lse.clone()
        mean = mean / mass
        ctx.save_for_backward(mean)
        ctx.temperature = temperature
        ctx.mark_non_differentiable(other, mean)
        return lse, other, mean

    @staticmethod
    def backward(ctx, grad, *_):
        mean, = ctx.saved_tensors
        return (grad[:, None] * mean / ctx.temperature, ) + (None, ) * 7


def bank_logsumexp(
        queries: Tensor,
        columns: Tensor,
        temperature: float,
        bank_temperature: Optional[float] = None,
        block: Optional[int] = None,
        sharding: Sharding = UNSHARDED,
        cache: Optional[SoftmaxCache] = None) -> Tuple[Tensor, Tensor]:
    """Log-sum-exp of the queries' cosines with all columns of a bank.

    Args:
        queries (Tensor): Unit vectors of this rank, (N, C).
        columns (Tensor): Raw bank, (C, K); no gradient goes into it.
        temperature (float): Divides the cosines; the differentiable one.
        bank_temperature (float, optional): Another temperature, evaluated in the same
            pass without gradient. Defaults to ``temperature``.
        block (int, optional): Columns that are worked on at a time. Defaults
            to what the caches hold.
        sharding (Sharding): Whether ``columns`` are this rank's part.
        cache (SoftmaxCache, optional): Takes what :func:`bank_gradient` can use again,
            if ``queries`` need a gradient and the temperatures are not below
            1 / 60. Defaults to None.

    Returns:
        tuple[Tensor, Tensor]: (N, ) at ``temperature``, differentiable with
        respect to ``queries``, and (N, ) at ``bank_temperature``.
    """
    return _BankLogSumExp.apply(queries, columns, temperature, bank_temperature
                                or temperature, block, sharding, cache,
                                False)[:2]


def softmax_mean(queries: Tensor,
                 columns: Tensor,
                 temperature: float,
                 block: Optional[int] = None,
                 sharding: Sharding = UNSHARDED) -> Tuple[Tensor, Tensor]:
    """Log-sum-exp over columns, and their mean with the softmax' weights.

    Args:
        queries (Tensor): Unit vectors of this rank, (N, C).
        columns (Tensor): Raw columns, (C, K); no gradient goes into them.
        temperature (float): Divides the cosines.
        block (int, optional): Columns that are worked on at a time. Defaults
            to what the caches hold.
        sharding (Sharding): Whether ``columns`` are this rank's part.

    Returns:
        tuple[Tensor, Tensor]: (N, ), differentiable with respect to
        ``queries``, and the mean of the normalised columns, (N, C), without
        gradient.
    """
    lse, _, mean = _BankLogSumExp.apply(queries, columns, temperature,
                                        temperature, block, sharding, None,
                                        True)
    return lse, mean


@torch.no_grad()
def bank_gradient(queries: Tensor,
                  log_normalisers: Tensor,
                  columns: Tensor,
                  temperature: float,
                  use: Callable[[slice, Tensor], None],
                  corrections: Optional[Tuple[Tensor, Tensor, Tensor]] = None,
                  scale: float = 1.,
                  decay: float = 0.,
                  block: Optional[int] = None,
                  cache: Optional[SoftmaxCache] = None) -> None:
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
        queries (Tensor): Unit vectors, (N, C); of all ranks where the columns
            are a part of the bank.
        log_normalisers (Tensor): ``z``, (N, ). Weights of the rows are part
            of it: a row of weight a and denominator D has z = log(D / a).
        columns (Tensor): Raw bank, (C, K).
        temperature (float): The bank's temperature.
        use (callable): Called with each range of columns and ``scale * G +
            decay * W`` of it, (C, n), from several threads. It may change
            that array and, in this range, the columns.
        corrections (tuple, optional): ``(rows, columns, d)``, each (M, ):
            what is added to the coefficient c of a row and a column. Defaults
            to None.
        scale (float): Defaults to 1.
        decay (float): Defaults to 0.
        block (int, optional): Columns that are worked on at a time. Defaults
            to what the caches hold.
        cache (SoftmaxCache, optional): What :func:`bank_logsumexp` has left for these
            queries, columns and temperature; is empty afterwards. Defaults
            to None.
    """
    n, c = queries.shape
    fit = 0 if cache is None else len(cache.weights)
    scaled = (queries / temperature).t()
    # What a row's weights are divided by; a row that weighs nothing has z
    # infinite, and infinite minus infinite is no number.
    normalisers = log_normalisers.clamp(max=1e6)
    bounded = 1 / temperature <= BOUND
    shift = torch.zeros_like(normalisers) if bounded else normalisers
    factors = scaled * (scale * (shift - normalisers).exp())
    if corrections is not None:
        rows, places, amount = corrections
        amount = amount * (normalisers - shift).exp()[rows]
    chunks = chunks_of_blocks(columns, n, block)

    def visit(blocks: Blocks) -> None:
        for part in blocks:
            size = part.stop - part.start
            raw = workspace('unit', columns, c, size).copy_(columns[:, part])
            product = workspace('product', columns, c, size)
            inverse = cache.inverse[part] if cache is not None else (
                inverse_norms(raw, product))
            if part.stop <= fit:
                weights = cache.weights[part]
            else:
                weights = workspace('weights', columns, size, n)
                unit = torch.mul(raw, inverse, out=product)
                torch.mm(unit.t(), scaled, out=weights)
                if not bounded:
                    weights.sub_(shift)
                weights.exp_()
            if corrections is not None:
                # Those of other blocks are added as zeros: picking them out
                # would need their number on the host, a synchronisation.
                inside = (places >= part.start) & (places < part.stop)
                weights.index_put_(
                    ((places - part.start).clamp(0, size - 1), rows),
                    amount * inside,
                    accumulate=True)
            grad = workspace('grad', columns, c, size)
            torch.mm(factors, weights.t(), out=grad)
            radial = torch.mul(grad, raw, out=product).sum(dim=0)
            radial.mul_(inverse).mul_(inverse).mul_(inverse).sub_(decay)
            use(part, grad.mul_(inverse).addcmul_(raw, radial, value=-1))

    parallel_map(visit, chunks)
    if cache is not None:
        cache.clear()
