# Copyright (c) caco_ext authors. All rights reserved.
"""The mathematics of a learnable bank, in blocks of columns.

A bank is a raw matrix ``W = [w_1 .. w_K]`` of shape (C, K). What queries meet
are its normalised columns ``u_j = w_j / ||w_j||``. Nothing here keeps an
(N, K) array or a normalised copy of the bank: every function walks over
blocks of columns that fit the caches, and makes again what it needs again.

Where a memory is divided over ranks, ``shards`` says so: ``columns`` are then
those of this rank, queries are gathered, and what each rank finds for them is
reduced. ``docs/bank_gradient.md`` derives the formulas.
"""
from typing import Iterator, NamedTuple, Optional, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .shards import WHOLE, Shards

# Elements of the arrays that one block of columns takes: 1 MiB each, so that
# some stay in a second-level cache. Narrower blocks slow the products down.
WORK, LEAST = 2**18, 512
# A maximum is fast where the place is not wanted: it is looked for in groups.
GROUP = 64


class _Block(NamedTuple):
    part: slice
    inverse: Tensor
    unit: Tensor


def _blocks(columns: Tensor, rows: int,
            block: Optional[int]) -> Iterator[_Block]:
    """Walk over the columns, normalised; the arrays are used again."""
    dim, count = columns.shape
    width = block or max(LEAST, WORK // max(rows, dim) // GROUP * GROUP)
    units = columns.new_empty(dim, min(width, count))
    for start in range(0, count, width):
        part = slice(start, min(start + width, count))
        raw, unit = columns[:, part], units[:, :count - start]
        # Not norm(): along the first axis it takes ten times as long.
        inverse = torch.mul(raw, raw, out=unit).sum(dim=0).sqrt_()
        inverse.clamp_min_(1e-12).reciprocal_()
        yield _Block(part, inverse, torch.mul(raw, inverse, out=unit))


class _BankLogSumExp(torch.autograd.Function):
    """``log sum_j exp(q . u_j / t)`` with its gradient from the same pass."""

    @staticmethod
    def forward(ctx, queries, columns, temperature, second, block, shards):
        everyone = shards.gather(queries)
        n, c = everyone.shape
        high = everyone.new_full((n, ), float('-inf'))
        # Columns: the mean of the columns, the sum, the other sum.
        total = everyone.new_zeros(n, c + 2)
        ratio = temperature / second
        logits = other = None
        scaled = everyone / temperature
        for part, _, unit in _blocks(columns, n, block):
            if logits is None or logits.size(1) != unit.size(1):
                logits = everyone.new_empty(n, unit.size(1))
                other = torch.empty_like(logits)
            torch.mm(scaled, unit, out=logits)
            new = torch.maximum(high, logits.amax(dim=1))
            fade, high = (high - new)[:, None].exp_(), new
            total[:, :-1].mul_(fade)
            total[:, -1:].mul_(fade**ratio)
            if ratio != 1:
                torch.add(
                    -ratio * new[:, None], logits, alpha=ratio, out=other)
                total[:, -1].add_(other.exp_().sum(dim=1))
            logits.sub_(new[:, None]).exp_()
            total[:, -2].add_(logits.sum(dim=1))
            if ctx.needs_input_grad[0]:
                total[:, :c].addmm_(logits, unit.t())
        top = shards.reduce(high.clone(), 'max')
        fade = (high - top)[:, None].exp_()
        total[:, :-1].mul_(fade)
        total[:, -1:].mul_(fade**ratio)
        total, top = shards.own(shards.reduce(total)), shards.own(top)
        mean, mass, other = total.split((c, 1, 1), dim=1)
        lse = top + mass[:, 0].log()
        other = top * ratio + other[:, 0].log() if ratio != 1 else lse.clone()
        ctx.save_for_backward(mean / mass)
        ctx.temperature = temperature
        ctx.mark_non_differentiable(other)
        return lse, other

    @staticmethod
    def backward(ctx, grad, _):
        mean, = ctx.saved_tensors
        return (grad[:, None] * mean / ctx.temperature, ) + (None, ) * 5


def bank_logsumexp(queries: Tensor,
                   columns: Tensor,
                   temperature: float,
                   second: Optional[float] = None,
                   block: Optional[int] = None,
                   shards: Shards = WHOLE) -> Tuple[Tensor, Tensor]:
    """Log-sum-exp of the queries' cosines with all columns of a bank.

    Args:
        queries (Tensor): Unit vectors of this rank, (N, C).
        columns (Tensor): Raw bank, (C, K); no gradient goes into it.
        temperature (float): Divides the cosines; the differentiable one.
        second (float, optional): Another temperature, evaluated in the same
            pass without gradient. Defaults to ``temperature``.
        block (int, optional): Columns that are worked on at a time. Defaults
            to what the caches hold.
        shards (Shards): Whether ``columns`` are this rank's part.

    Returns:
        tuple[Tensor, Tensor]: (N, ) at ``temperature``, differentiable with
        respect to ``queries``, and (N, ) at ``second``.
    """
    return _BankLogSumExp.apply(queries, columns, temperature, second
                                or temperature, block, shards)


@torch.no_grad()
def pick_columns(numbers: Tensor,
                 columns: Tensor,
                 shards: Shards = WHOLE) -> Tensor:
    """Some columns of a bank, normalised.

    Args:
        numbers (Tensor): Columns that this rank wants, (N, ) int64.
        columns (Tensor): Raw bank, (C, K).
        shards (Shards): Whether ``columns`` are this rank's part.

    Returns:
        Tensor: (N, C), without gradient.
    """
    places, here = shards.locate(shards.gather(numbers))
    chosen = F.normalize(columns[:, places].t(), dim=1) * here[:, None]
    return shards.own(shards.reduce(chosen))


def _first_max(values: Tensor) -> Tuple[Tensor, Tensor]:
    """Largest entry of each row and its first place."""
    if values.size(1) % GROUP:
        return values.max(dim=1)
    groups = values.unflatten(1, (-1, GROUP))
    high, group = groups.amax(dim=2).max(dim=1)
    place = groups[torch.arange(len(values), device=values.device),
                   group].argmax(dim=1)
    return high, group * GROUP + place


@torch.no_grad()
def nearest_columns(keys: Tensor,
                    columns: Tensor,
                    block: Optional[int] = None,
                    shards: Shards = WHOLE) -> Tensor:
    """The column with the largest cosine for each key (CaCo's positive).

    Args:
        keys (Tensor): Keys of this rank, (N, C).
        columns (Tensor): Raw bank, (C, K).
        block (int, optional): Columns that are worked on at a time. Defaults
            to what the caches hold.
        shards (Shards): Whether ``columns`` are this rank's part.

    Returns:
        Tensor: (N, ) int64; of equal ones the first, as ``argmax`` gives.
    """
    keys = shards.gather(keys)
    best = keys.new_full((keys.size(0), ), float('-inf'))
    index = torch.zeros(keys.size(0), dtype=torch.long, device=keys.device)
    for part, _, unit in _blocks(columns, keys.size(0), block):
        value, place = _first_max(keys @ unit)
        better = value > best
        best = torch.where(better, value, best)
        index = torch.where(better, place + part.start, index)
    if shards.parts > 1:
        # Of equal ones on several ranks the first, too.
        top = shards.reduce(best.clone(), 'max')
        index = shards.number(index).where(best == top, 2**62)
        index = -shards.reduce(-index, 'max')
    return shards.own(index)


@torch.no_grad()
def bank_gradient(
        queries: Tensor,
        log_normalisers: Tensor,
        columns: Tensor,
        temperature: float,
        corrections: Optional[Tuple[Tensor, Tensor, Tensor]] = None,
        block: Optional[int] = None) -> Iterator[Tuple[slice, Tensor]]:
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
        columns (Tensor): Raw bank, (C, K). May be changed by the caller
            inside a block once that block has been given out.
        temperature (float): The bank's temperature.
        corrections (tuple, optional): ``(rows, columns, d)``, each (M, ):
            what is added to the coefficient c of a row and a column. Defaults
            to None.
        block (int, optional): Columns that are worked on at a time. Defaults
            to what the caches hold.

    Yields:
        tuple[slice, Tensor]: A range of columns and their gradient, (C, n),
        which the next one overwrites.
    """
    scaled = queries / temperature
    weights = None
    for part, inverse, unit in _blocks(columns, queries.size(0), block):
        if weights is None or weights.size(1) != unit.size(1):
            weights = queries.new_empty(queries.size(0), unit.size(1))
            grad = torch.empty_like(unit)
            product = torch.empty_like(unit)
        torch.mm(scaled, unit, out=weights)
        weights.sub_(log_normalisers[:, None]).exp_()
        if corrections is not None:
            rows, places, amount = corrections
            # Those of other blocks are added as zeros: picking them out
            # would need their number on the host, a synchronisation.
            inside = (places >= part.start) & (places < part.stop)
            places = (places - part.start).clamp(0, unit.size(1) - 1)
            weights.index_put_((rows, places),
                               amount * inside,
                               accumulate=True)
        torch.mm(scaled.t(), weights, out=grad)
        radial = torch.mul(grad, unit, out=product).sum(dim=0)
        grad.addcmul_(unit, radial, value=-1).mul_(inverse)
        yield part, grad
