# Copyright (c) caco_ext authors. All rights reserved.
"""Columns of a bank: the nearest to a key, and those at given indices."""
from typing import Optional, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .bank import inverse_norms
from .blocks import GROUP, Blocks, chunks_of_blocks, parallel_map, workspace
from .sharding import UNSHARDED, Sharding


@torch.no_grad()
def pick_columns(numbers: Tensor,
                 columns: Tensor,
                 sharding: Sharding = UNSHARDED) -> Tensor:
    """Some columns of a bank, normalised.

    Args:
        numbers (Tensor): Indices of the columns, (N, ) int64.
        columns (Tensor): Raw bank, (C, K).
        sharding (Sharding): Whether ``columns`` are this rank's shard.

    Returns:
        Tensor: (N, C), without gradient.
    """
    places, here = sharding.to_local(sharding.gather(numbers))
    chosen = F.normalize(columns[:, places].t(), dim=1) * here[:, None]
    return sharding.local_rows(sharding.reduce(chosen))


def _first_max(values: Tensor) -> Tuple[Tensor, Tensor]:
    """Largest entry of each row and the first index where it occurs."""
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
                    sharding: Sharding = UNSHARDED,
                    inverses: Optional[Tensor] = None) -> Tensor:
    """The column with the largest cosine for each key (CaCo's positive).

    Args:
        keys (Tensor): Keys of this rank, (N, C).
        columns (Tensor): Raw bank, (C, K).
        block (int, optional): Columns of a block. Defaults to what the
            processor's caches hold.
        sharding (Sharding): Whether ``columns`` are this rank's shard.
        inverses (Tensor, optional): 1 / ||w_j||, (K, ), if already known.
            Defaults to None.

    Returns:
        Tensor: Indices, (N, ) int64; of equal columns the first.
    """
    keys = sharding.gather(keys)
    chunks = chunks_of_blocks(columns, len(keys), block)

    def visit(blocks: Blocks) -> Tuple[Tensor, Tensor]:
        best = keys.new_full((len(keys), ), float('-inf'))
        index = torch.zeros(len(keys), dtype=torch.long, device=keys.device)
        for part in blocks:
            raw = columns[:, part]
            inverse = inverses[part] if inverses is not None else (
                inverse_norms(raw, workspace('product', columns, *raw.shape)))
            cosines = workspace('cosines', columns, len(keys), raw.size(1))
            torch.mm(keys, raw, out=cosines)
            value, place = _first_max(cosines.mul_(inverse))
            better = value > best
            best = torch.where(better, value, best)
            index = torch.where(better, place + part.start, index)
        return best, index

    found = parallel_map(visit, chunks)
    best, index = found[0]
    for value, place in found[1:]:
        index = torch.where(value > best, place, index)
        best = torch.maximum(best, value)
    if sharding.num_shards > 1:
        # Take the first of equal columns on several ranks, too.
        top = sharding.reduce(best.clone(), 'max')
        index = sharding.to_global(index).where(best == top, 2**62)
        index = -sharding.reduce(-index, 'max')
    return sharding.local_rows(index)
