# Copyright (c) caco_ext authors. All rights reserved.
from typing import Optional, Tuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F


class AbsolutePosition(nn.Module):
    """One learned vector per row plus one per column, shared by the heads.

    Args:
        size (tuple[int, int]): Rows and columns of the map.
        channels (int): Width of a head.
    """

    def __init__(self, size: Tuple[int, int], channels: int) -> None:
        super().__init__()
        scale = channels**-0.5
        self.height = nn.Parameter(torch.randn(size[0], channels) * scale)
        self.width = nn.Parameter(torch.randn(size[1], channels) * scale)

    def forward(self, query: Tensor,
                key: Tensor) -> Tuple[Tensor, Optional[Tensor]]:
        """Add the position to the keys: q.k + q.p = q.(k + p).

        Args:
            query (Tensor): (N, heads, HW, channels).
            key (Tensor): (N, heads, HW, channels).

        Returns:
            tuple[Tensor, None]: The keys plus their positions, and no bias
            for the logits.
        """
        place = self.height[:, None] + self.width[None]
        return key + place.flatten(0, 1).to(key), None


class RelativePosition(nn.Module):
    """A learned vector for each distance in rows and in columns.

    Args:
        size (tuple[int, int]): Rows and columns of the map.
        channels (int): Width of a head.
    """

    def __init__(self, size: Tuple[int, int], channels: int) -> None:
        super().__init__()
        scale = channels**-0.5
        self.height = nn.Parameter(
            torch.randn(2 * size[0] - 1, channels) * scale)
        self.width = nn.Parameter(
            torch.randn(2 * size[1] - 1, channels) * scale)
        self.size = size

    @staticmethod
    def _table(vectors: Tensor, length: int) -> Tensor:
        """The vector of each (from, to): (length, length, channels)."""
        place = torch.arange(length, device=vectors.device)
        return vectors[place[None] - place[:, None] + length - 1]

    def forward(self, query: Tensor,
                key: Tensor) -> Tuple[Tensor, Optional[Tensor]]:
        """The position's part of the logits.

        Args:
            query (Tensor): (N, heads, HW, channels), unscaled.
            key (Tensor): (N, heads, HW, channels).

        Returns:
            tuple[Tensor, Tensor]: The keys, and (N, heads, HW, HW) to be
            added to the scaled logits.
        """
        rows, columns = self.size
        query = query.unflatten(2, self.size) * query.size(-1)**-0.5
        vertical = torch.einsum('nhxyc,xic->nhxyi', query,
                                self._table(self.height, rows).to(query))
        across = torch.einsum('nhxyc,yjc->nhxyj', query,
                              self._table(self.width, columns).to(query))
        bias = vertical[..., :, None] + across[..., None, :]
        return key, bias.flatten(4, 5).flatten(2, 3)


class MapAttention(BaseModule):
    """Multi-head self-attention over the places of a feature map.

    One projection makes queries, keys and values. There is no output
    projection and no dropout, as in CARE's T-stream and the bottleneck
    transformer (arXiv 2101.11605).

    Args:
        in_channels (int): Channels of the map.
        size (tuple[int, int]): Rows and columns of the map.
        num_heads (int): Defaults to 4.
        head_channels (int): Width of a head. Defaults to 128.
        position (str): 'absolute' or 'relative'. Defaults to 'absolute'.
    """

    def __init__(self,
                 in_channels: int,
                 size: Tuple[int, int],
                 num_heads: int = 4,
                 head_channels: int = 128,
                 position: str = 'absolute') -> None:
        super().__init__()
        kinds = dict(absolute=AbsolutePosition, relative=RelativePosition)
        if position not in kinds:
            raise ValueError(f'position={position!r} of the attention stack '
                             f'is unknown; use one of {sorted(kinds)}')
        self.num_heads = num_heads
        self.out_channels = num_heads * head_channels
        self.to_qkv = nn.Conv2d(
            in_channels, 3 * self.out_channels, 1, bias=False)
        self.position = kinds[position](size, head_channels)

    def _project(self, x: Tensor) -> Tuple[Tensor, ...]:
        # N x (3 heads c) x H x W -> three of N x heads x HW x c
        qkv = self.to_qkv(x).flatten(2).unflatten(1, (3, self.num_heads, -1))
        query, key, value = qkv.transpose(3, 4).unbind(1)
        return (query, value, *self.position(query, key))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H, W)."""
        query, value, key, bias = self._project(x)
        out = F.scaled_dot_product_attention(query, key, value, bias)
        return out.transpose(2, 3).flatten(1, 2).unflatten(2, x.shape[2:])

    def weights(self, x: Tensor) -> Tensor:
        """Attention weights between all places of the map.

        Args:
            x (Tensor): (N, in_channels, H, W).

        Returns:
            Tensor: (N, heads, HW, HW); each row sums to one.
        """
        query, _, key, bias = self._project(x)
        logits = query @ key.transpose(2, 3) * query.size(-1)**-0.5
        return (logits if bias is None else logits + bias).softmax(dim=-1)
