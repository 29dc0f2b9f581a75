# Copyright (c) caco_ext authors. All rights reserved.
from typing import Optional, Tuple

import torch
from torch import Tensor


class SoftmaxCache:
    """Stores results of the loss that the bank's step needs again.

    It holds the exponentials ``exp(q_n . u_j / t)`` at the bank's
    temperature, for as many columns as fit, and ``1 / ||w_j||`` of all
    columns. This saves the step a matrix product and an exponential.

    Args:
        limit (int): Bytes for the exponentials. Defaults to 64 MiB, enough
            for 256 queries and 65536 columns in float32.
    """

    def __init__(self, limit: int = 2**26) -> None:
        self.limit = limit
        self.weights = torch.empty(0)
        self.clear()

    def clear(self) -> None:
        """Drop the values; their memory is reused."""
        self.inverse = self.queries = self.all_queries = torch.empty(0)
        self._columns: Optional[Tuple[int, int]] = None

    def start(self, queries: Tensor, all_queries: Tensor,
              columns: Tensor) -> None:
        """Allocate memory for one pass over the columns.

        Args:
            queries (Tensor): Queries of this rank, (N, C).
            all_queries (Tensor): Queries that meet ``columns``, (M, C).
            columns (Tensor): Raw bank, (C, K).
        """
        rows, count = len(all_queries), columns.size(1)
        fit = min(count, self.limit // (rows * columns.element_size()))
        if self.weights.shape != (fit, rows) or (self.weights.dtype
                                                 != columns.dtype):
            self.weights = torch.empty(0)  # frees the old array first
        if self.weights.device != columns.device or not self.weights.numel():
            self.weights = columns.new_empty(fit, rows)
        self.inverse = columns.new_empty(count)
        self.queries, self.all_queries = queries.detach(), all_queries
        self._columns = columns.data_ptr(), columns._version

    def room(self, part: slice) -> Optional[Tensor]:
        """Memory for the exponentials of a block, (n, M).

        Args:
            part (slice): The block's columns.

        Returns:
            Tensor, optional: None if the block exceeds the limit.
        """
        return self.weights[part] if part.stop <= len(self.weights) else None

    def knows(self, columns: Tensor) -> bool:
        """Whether the columns (C, K) are unchanged since that pass."""
        return self._columns == (columns.data_ptr(), columns._version)

    def fits(self, queries: Tensor, columns: Tensor) -> bool:
        """Whether the values are of these queries (N, C) and columns."""
        return (self.knows(columns)
                and queries.data_ptr() == self.queries.data_ptr()
                and queries.shape == self.queries.shape)
