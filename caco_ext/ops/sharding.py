# Copyright (c) caco_ext authors. All rights reserved.
"""Columns of a memory, sharded over ranks."""
from typing import Tuple

import torch
from mmengine.dist import all_gather, all_reduce, get_rank, get_world_size
from torch import Tensor


class Sharding:
    """Where the columns of a memory are, and how ranks exchange values.

    Column j is column ``j // num_shards`` of rank ``j % num_shards``, so
    consecutive keys spread evenly over the ranks. Without sharding every rank
    holds all columns. Then all methods but the ``everywhere`` ones return
    their input.

    ``sent`` counts the bytes that this rank sends in ring algorithms: a
    gather passes each rank's rows on to all others, a reduction passes the
    values round twice.

    Args:
        enabled (bool): Whether each rank holds a shard. Defaults to False.
    """

    def __init__(self, enabled: bool = False) -> None:
        self.enabled = enabled
        self.num_shards = get_world_size() if enabled else 1
        self.shard = get_rank() if enabled else 0
        self.sent = 0

    def gather(self, rows: Tensor) -> Tensor:
        """Rows (N, ...) of all shards in rank order, (N * num_shards, ...)."""
        if self.num_shards == 1:
            return rows.detach()
        return self.gather_everywhere(rows)

    def gather_everywhere(self, rows: Tensor) -> Tensor:
        """Rows (N, ...) of all ranks in their order, without gradient."""
        rows, ranks = rows.detach().contiguous(), get_world_size()
        if ranks == 1:
            return rows
        self.sent += (ranks - 1) * rows.numel() * rows.element_size()
        return torch.cat(all_gather(rows))

    def reduce(self, values: Tensor, op: str = 'sum') -> Tensor:
        """Sum or 'max' over the shards, in place, for all of them."""
        return values if self.num_shards == 1 else self.reduce_everywhere(
            values, op)

    def reduce_everywhere(self, values: Tensor, op: str = 'sum') -> Tensor:
        """Sum or 'max' over all ranks, in place."""
        ranks = get_world_size()
        if ranks > 1:
            size = values.numel() * values.element_size()
            self.sent += 2 * (ranks - 1) * size // ranks
            all_reduce(values, op)
        return values

    def local_rows(self, rows: Tensor) -> Tensor:
        """This rank's rows, (N, ...), of what :meth:`gather` returned."""
        return rows.chunk(self.num_shards)[self.shard]

    def local_columns(self, whole: Tensor) -> Tensor:
        """This rank's columns: (..., K) to (..., K / num_shards)."""
        return whole[..., self.shard::self.num_shards]

    def to_global(self, places: Tensor) -> Tensor:
        """Indices among all columns of this rank's columns ``places``."""
        return places * self.num_shards + self.shard

    def to_local(self, numbers: Tensor) -> Tuple[Tensor, Tensor]:
        """Index of each column on its rank, and whether it is this rank."""
        is_local = numbers % self.num_shards == self.shard
        return numbers // self.num_shards, is_local


UNSHARDED = Sharding()
