# Copyright (c) caco_ext authors. All rights reserved.
"""Columns of a bank that are looked for, not learnt from."""
from typing import Optional, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .bank import inverse_norms
from .blocks import GROUP, Blocks, deal, lots_of_blocks, scratch
from .shards import WHOLE, Shards


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
                    shards: Shards = WHOLE,
                    inverses: Optional[Tensor] = None) -> Tensor:
    """The column with the largest cosine for each key (CaCo's positive).

    Args:
        keys (Tensor): Keys of this rank, (N, C).
        columns (Tensor): Raw bank, (C, K).
        block (int, optional): Columns that are worked on at a time. Defaults
            to what the caches hold.
        shards (Shards): Whether ``columns`` are this rank's part.
        inverses (Tensor, optional): 1 / ||w_j||, (K, ), where it is
            known. Defaults to None.

    Returns:
        Tensor: (N, ) int64; of equal ones the first, as ``argmax`` gives.
    """
    keys = shards.gather(keys)
    lots = lots_of_blocks(columns, len(keys), block)

    def visit(blocks: Blocks) -> Tuple[Tensor, Tensor]:
        best = keys.new_full((len(keys), ), float('-inf'))
        index = torch.zeros(len(keys), dtype=torch.long, device=keys.device)
        for part in blocks:
            raw = columns[:, part]
            inverse = inverses[part] if inverses is not None else (
                inverse_norms(raw, scratch('product', columns, *raw.shape)))
            cosines = scratch('cosines', columns, len(keys), raw.size(1))
            torch.mm(keys, raw, out=cosines)
            value, place = _first_max(cosines.mul_(inverse))
            better = value > best
            best = torch.where(better, value, best)
            index = torch.where(better, place + part.start, index)
        return best, index

    found = deal(visit, lots)
    best, index = found[0]
    for value, place in found[1:]:
        index = torch.where(value > best, place, index)
        best = torch.maximum(best, value)
    if shards.parts > 1:
        # Of equal ones on several ranks the first, too.
        top = shards.reduce(best.clone(), 'max')
        index = shards.number(index).where(best == top, 2**62)
        index = -shards.reduce(-index, 'max')
    return shards.own(index)
