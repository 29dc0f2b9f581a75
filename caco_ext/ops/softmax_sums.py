# Copyright (c) caco_ext authors. All rights reserved.
"""Sums of exponentials that neither overflow nor underflow."""
from typing import List, Tuple

import torch
from torch import Tensor

from .sharding import Sharding

# A cosine is at most 1, so a logit is at most 1 / temperature. Up to this
# bound, exponentials and their sums over a bank fit into float32. Above it,
# the largest logit is subtracted first.
BOUND = 60.


def is_bounded(*temperatures: float) -> bool:
    """Whether exponentials at these temperatures fit into float32."""
    return 1 / min(temperatures) <= BOUND


class SoftmaxSums:
    r"""Sums for softmaxes over the columns of a bank, block by block.

    With logits :math:`s_j = q \cdot u_j / t`, the temperature t and a second
    one t', it computes for each query, over the columns seen so far:

    * ``mean``: :math:`\sum_j e^{s_j - h} u_j`,
    * ``mass``: :math:`\sum_j e^{s_j - h}`,
    * ``other``: :math:`\sum_j e^{(s_j - h) t / t'}`.

    If logits can be large, h (``high``) is the largest so far, and a larger
    one scales the sums down. This is the online softmax of Milakov and
    Gimelshein (arXiv 1805.02867). Otherwise h is 0.

    Args:
        queries (Tensor): (N, C); only shape, type and device are used.
        temperature (float): t.
        bank_temperature (float): t'.
        with_mean (bool): Whether to compute ``mean``.
    """

    def __init__(self, queries: Tensor, temperature: float,
                 bank_temperature: float, with_mean: bool) -> None:
        rows, width = queries.shape
        self.ratio = temperature / bank_temperature
        self.bounded = is_bounded(temperature, bank_temperature)
        self.with_mean = with_mean
        start = 0. if self.bounded else float('-inf')
        self.high = queries.new_full((rows, ), start)
        # One array, so that ranks exchange a single message.
        self.total = queries.new_zeros(width + 2, rows)
        self.mean = self.total[:width]
        self.mass, self.other = self.total[-2], self.total[-1]

    def add(self, logits: Tensor, unit: Tensor, weights: Tensor) -> None:
        """Add a block of n columns.

        Args:
            logits (Tensor): (n, N), at t; is overwritten.
            unit (Tensor): The normalised columns, (C, n).
            weights (Tensor): (n, N); takes the exponentials at t'.
        """
        if not self.bounded:
            high = torch.maximum(self.high, logits.amax(dim=0))
            fade, self.high = (self.high - high).exp_(), high
            self.total[:-1].mul_(fade)
            self.other.mul_(fade**self.ratio)
            logits.sub_(high)
        if self.ratio != 1:
            torch.mul(logits, self.ratio, out=weights).exp_()
            self.other.add_(weights.sum(dim=0))
            weights = logits.exp_()
        else:
            torch.exp(logits, out=weights)
        self.mass.add_(weights.sum(dim=0))
        if self.with_mean:
            self.mean.addmm_(unit, weights)


def merge(chunks: List[SoftmaxSums],
          sharding: Sharding) -> Tuple[Tensor, Tensor, Tensor]:
    """Combine the sums of all chunks of columns and of all ranks.

    Args:
        chunks (list[SoftmaxSums]): In the order of the columns.
        sharding (Sharding): Whether ranks hold different columns.

    Returns:
        tuple[Tensor, Tensor, Tensor]: For this rank's queries, the
        log-sum-exp at t, (N, ), the log-sum-exp at t', (N, ), and the mean of
        the columns weighted by the softmax at t, (N, C).
    """
    first = chunks[0]
    totals = torch.stack([chunk.total for chunk in chunks])
    highs = torch.stack([chunk.high for chunk in chunks])
    top = highs.amax(dim=0)
    if not first.bounded:
        sharding.reduce(top, 'max')
        fade = (highs - top)[:, None].exp_()
        totals[:, :-1].mul_(fade)
        totals[:, -1:].mul_(fade**first.ratio)
    total = sharding.local_rows(
        sharding.reduce(totals.sum(dim=0).t().contiguous()))
    top = sharding.local_rows(top)
    mean, mass, other = total.split((total.size(1) - 2, 1, 1), dim=1)
    lse = top + mass[:, 0].log()
    if first.ratio == 1:
        return lse, lse.clone(), mean / mass
    return lse, top * first.ratio + other[:, 0].log(), mean / mass
