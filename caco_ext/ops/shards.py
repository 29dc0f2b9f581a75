# Copyright (c) caco_ext authors. All rights reserved.
"""Columns of a memory spread over ranks."""
from typing import Tuple

import torch
from mmengine.dist import all_gather, all_reduce, get_rank, get_world_size
from torch import Tensor


class Shards:
    """Where the columns of a memory are, and what passes between ranks.

    Column j is column ``j // parts`` of rank ``j % parts``: so the keys of a
    batch, which enter one after the other, spread evenly. Undivided there is
    one part, on every rank, and all but the ``everywhere`` methods hand back
    what they get.

    ``sent`` counts the bytes that this rank sends, as the ring algorithms do:
    a gather passes each rank's rows on to all others, a reduction goes round
    twice.

    Args:
        divided (bool): Whether each rank holds a part. Defaults to False.
    """

    def __init__(self, divided: bool = False) -> None:
        self.divided = divided
        self.parts = get_world_size() if divided else 1
        self.part = get_rank() if divided else 0
        self.sent = 0

    def gather(self, rows: Tensor) -> Tensor:
        """Rows (N, ...) of all parts in rank order, (N * parts, ...)."""
        return rows.detach() if self.parts == 1 else self.gather_everywhere(
            rows)

    def gather_everywhere(self, rows: Tensor) -> Tensor:
        """Rows (N, ...) of all ranks in their order, without gradient."""
        rows, ranks = rows.detach().contiguous(), get_world_size()
        if ranks == 1:
            return rows
        self.sent += (ranks - 1) * rows.numel() * rows.element_size()
        return torch.cat(all_gather(rows))

    def reduce(self, values: Tensor, op: str = 'sum') -> Tensor:
        """Sum or 'max' over the parts, in place; the same on all of them."""
        return values if self.parts == 1 else self.reduce_everywhere(
            values, op)

    def reduce_everywhere(self, values: Tensor, op: str = 'sum') -> Tensor:
        """Sum or 'max' over all ranks, in place."""
        ranks = get_world_size()
        if ranks > 1:
            size = values.numel() * values.element_size()
            self.sent += 2 * (ranks - 1) * size // ranks
            all_reduce(values, op)
        return values

    def own(self, rows: Tensor) -> Tensor:
        """This rank's (N, ...) of the rows that :meth:`gather` gave."""
        return rows.chunk(self.parts)[self.part]

    def share(self, whole: Tensor) -> Tensor:
        """This rank's of all columns, (..., K) to (..., K / parts)."""
        return whole[..., self.part::self.parts]

    def number(self, places: Tensor) -> Tensor:
        """Number among all columns of those at ``places`` on this rank."""
        return places * self.parts + self.part

    def locate(self, numbers: Tensor) -> Tuple[Tensor, Tensor]:
        """Place of each column on its rank, and whether that is this one."""
        return numbers // self.parts, numbers % self.parts == self.part


WHOLE = Shards()
