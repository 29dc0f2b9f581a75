# Copyright (c) caco_ext authors. All rights reserved.
"""The mathematics of a learnable bank, in blocks of columns.

A bank is a raw matrix ``W = [w_1 .. w_K]`` of shape (C, K). Queries meet its
normalised columns ``u_j = w_j / ||w_j||``. Nothing here makes a normalised
copy of the bank or an (N, K) array. Every function walks over blocks of
columns that fit into the processor's caches.

* ``blocks.py`` cuts the columns into blocks and runs them on all threads.
* ``softmax_sums.py`` adds up exponentials without overflow.
* ``softmax_cache.py`` can store exponentials for the bank's step.
* ``plain.py`` has the same formulas in a few lines, without blocks.

If a memory is sharded over ranks, ``columns`` are those of this rank. The
queries of all ranks are gathered, and the ranks' results are reduced.
``docs/bank_gradient.md`` derives the formulas.
"""
from typing import Any, Callable, Optional, Tuple

import torch
from torch import Tensor

from .blocks import Blocks, chunks_of_blocks, parallel_map, workspace
from .sharding import UNSHARDED, Sharding
from .softmax_cache import SoftmaxCache
from .softmax_sums import SoftmaxSums, is_bounded, merge


def inverse_norms(columns: Tensor, square: Tensor) -> Tensor:
    """1 / ||w_j||, where norms below 1e-12 count as 1e-12 (``normalize``).

    Args:
        columns (Tensor): Raw columns, (C, n).
        square (Tensor): Workspace of the same size; is overwritten.

    Returns:
        Tensor: (n, ).
    """
    # norm() along the first axis takes ten times as long.
    torch.mul(columns, columns, out=square)
    return square.sum(dim=0).clamp_min_(1e-24).rsqrt_()


class _BankLogSumExp(torch.autograd.Function):
    """Log-sum-exp at two temperatures, and the softmax's mean column.

    That mean, divided by the temperature, is also the gradient of the first
    log-sum-exp with respect to the query.
    """

    @staticmethod
    def forward(ctx: Any, queries: Tensor, columns: Tensor, temperature: float,
                bank_temperature: float, block: Optional[int],
                sharding: Sharding, cache: Optional[SoftmaxCache],
                with_mean: bool) -> Tuple[Tensor, Tensor, Tensor]:
        all_queries = sharding.gather(queries)
        n, c = all_queries.shape
        with_mean = with_mean or ctx.needs_input_grad[0]
        # Only plain exponentials are cached, without a maximum subtracted.
        if not ctx.needs_input_grad[0] or not is_bounded(
                temperature, bank_temperature):
            cache = None
        if cache is not None:
            cache.start(queries, all_queries, columns)
        scaled = (all_queries / temperature).t()

        def visit(blocks: Blocks) -> SoftmaxSums:
            sums = SoftmaxSums(all_queries, temperature, bank_temperature,
                               with_mean)
            for part in blocks:
                size = part.stop - part.start
                unit = workspace('unit', columns, c, size)
                product = workspace('product', columns, c, size)
                logits = workspace('logits', columns, size, n)
                weights = None if cache is None else cache.room(part)
                if weights is None:
                    weights = workspace('weights', columns, size, n)
                unit.copy_(columns[:, part])  # strided, so read only once
                inverse = inverse_norms(unit, product)
                if cache is not None:
                    cache.inverse[part] = inverse
                torch.mm(unit.mul_(inverse).t(), scaled, out=logits)
                sums.add(logits, unit, weights)
            return sums

        chunks = chunks_of_blocks(columns, n, block)
        lse, other, mean = merge(parallel_map(visit, chunks), sharding)
        ctx.save_for_backward(mean)
        ctx.temperature = temperature
        ctx.mark_non_differentiable(other, mean)
        return lse, other, mean

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple:
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
        temperature (float): Divides the cosines of the first result.
        bank_temperature (float, optional): Divides the cosines of the second
            result, which has no gradient. Defaults to ``temperature``.
        block (int, optional): Columns per block. Defaults to what the
            processor's caches hold.
        sharding (Sharding): Whether ``columns`` are this rank's shard.
        cache (SoftmaxCache, optional): Stores what :func:`bank_gradient` can
            reuse. It stays empty if ``queries`` need no gradient or a
            temperature is below 1 / 60. Defaults to None.

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
    """Log-sum-exp over columns, and their mean weighted by the softmax.

    Args:
        queries (Tensor): Unit vectors of this rank, (N, C).
        columns (Tensor): Raw columns, (C, K); no gradient goes into them.
        temperature (float): Divides the cosines.
        block (int, optional): Columns of a block. Defaults to what the
            processor's caches hold.
        sharding (Sharding): Whether ``columns`` are this rank's shard.

    Returns:
        tuple[Tensor, Tensor]: (N, ), differentiable with respect to
        ``queries``, and the mean of the normalised columns, (N, C), without
        gradient.
    """
    lse, _, mean = _BankLogSumExp.apply(queries, columns, temperature,
                                        temperature, block, sharding, None,
                                        True)
    return lse, mean


def _add_corrections(weights: Tensor, part: slice, rows: Tensor,
                     places: Tensor, amount: Tensor) -> None:
    """Add amounts (M, ) at (places, rows) to a block's weights (n, N)."""
    # Corrections of other blocks are added as zeros. Leaving them out would
    # need their number on the CPU, and so a wait for the device.
    inside = (places >= part.start) & (places < part.stop)
    index = (places - part.start).clamp(0, len(weights) - 1)
    weights.index_put_((index, rows), amount * inside, accumulate=True)


@torch.no_grad()
def bank_gradient(queries: Tensor,
                  log_normalisers: Tensor,
                  columns: Tensor,
                  temperature: float,
                  use: Callable[[slice, Tensor], Any],
                  corrections: Optional[Tuple[Tensor, Tensor, Tensor]] = None,
                  scale: float = 1.,
                  decay: float = 0.,
                  block: Optional[int] = None,
                  cache: Optional[SoftmaxCache] = None) -> None:
    r"""Closed-form gradient with respect to the raw columns, in blocks.

    .. math::
        G_j = \frac{1}{\tau \|w_j\|} \sum_n c_{nj} (q_n - s_{nj} u_j), \quad
        c_{nj} = e^{s_{nj} / \tau - z_n} + \sum_{r: n_r = n, j_r = j} d_r

    where :math:`s_{nj} = q_n \cdot u_j`. The factor in parentheses comes from
    the column's normalisation, so :math:`w_j \cdot G_j = 0`. Let :math:`z_n`
    be the logarithm of N times the softmax's denominator. Then this is the
    gradient of the cross-entropy with respect to AdCo's negatives. The
    corrections add CaCo's positives. ``docs/bank_gradient.md`` derives both.

    Args:
        queries (Tensor): Unit vectors, (N, C). If the columns are a shard of
            the bank, those of all ranks.
        log_normalisers (Tensor): ``z``, (N, ). It includes the weight of a
            row: a row of weight a and denominator D has z = log(D / a).
        columns (Tensor): Raw bank, (C, K).
        temperature (float): The bank's temperature.
        use (callable): Called for each block, from several threads, with its
            slice and its ``scale * G + decay * W``, (C, n). It may change
            that array and the columns of its block.
        corrections (tuple, optional): ``(rows, columns, d)``, each (M, ). d
            is added to the coefficient c of the row and the column. Defaults
            to None.
        scale (float): Factor of G. Defaults to 1.
        decay (float): Factor of W. Defaults to 0.
        block (int, optional): Columns per block. Defaults to what the
            processor's caches hold.
        cache (SoftmaxCache, optional): What :func:`bank_logsumexp` stored for
            these queries, columns and temperature. It is empty afterwards.
            Defaults to None.
    """
    n, c = queries.shape
    scaled = (queries / temperature).t()
    # A row of weight 0 has an infinite z; infinity minus infinity is NaN.
    z = log_normalisers.clamp(max=1e6)
    # weights hold exp(s / t - shift). The missing factor exp(shift - z) is
    # multiplied to the queries: once per row, not once per column.
    bounded = is_bounded(temperature)
    shift = torch.zeros_like(z) if bounded else z
    factors = scaled * (scale * (shift - z).exp())
    if corrections is not None:
        rows, places, amount = corrections
        corrections = rows, places, amount * (z - shift).exp()[rows]

    def visit(blocks: Blocks) -> None:
        for part in blocks:
            size = part.stop - part.start
            raw = workspace('unit', columns, c, size).copy_(columns[:, part])
            product = workspace('product', columns, c, size)
            inverse = cache.inverse[part] if cache is not None else (
                inverse_norms(raw, product))
            weights = None if cache is None else cache.room(part)
            if weights is None:
                weights = workspace('weights', columns, size, n)
                unit = torch.mul(raw, inverse, out=product)
                torch.mm(unit.t(), scaled, out=weights)
                if not bounded:
                    weights.sub_(shift)
                weights.exp_()
            if corrections is not None:
                _add_corrections(weights, part, *corrections)
            grad = workspace('grad', columns, c, size)
            torch.mm(factors, weights.t(), out=grad)
            radial = torch.mul(grad, raw, out=product).sum(dim=0)
            radial.mul_(inverse).mul_(inverse).mul_(inverse).sub_(decay)
            use(part, grad.mul_(inverse).addcmul_(raw, radial, value=-1))

    parallel_map(visit, chunks_of_blocks(columns, n, block))
    if cache is not None:
        cache.clear()
