# Copyright (c) caco_ext authors. All rights reserved.
from typing import Any, List, Optional, Tuple, Union

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from .attention import MapAttention


class _ConvNorm(nn.Sequential):
    """A convolution without bias and its batch norm."""

    def __init__(self,
                 norm_cfg: dict,
                 in_channels: int,
                 out_channels: int,
                 kernel_size: int,
                 stride: int = 1,
                 padding: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            bias=False)
        self.bn = _norm(norm_cfg, out_channels)


def _norm(norm_cfg: dict, channels: int) -> nn.Module:
    cfg = dict(norm_cfg)
    cfg.pop('requires_grad', None)
    kind = dict(BN=nn.BatchNorm2d, SyncBN=nn.SyncBatchNorm)
    if cfg.get('type') not in kind:
        raise ValueError(f'norm_cfg={norm_cfg} of the attention stack: type '
                         f'must be one of {sorted(kind)}')
    return kind[cfg.pop('type')](channels, **cfg)


class AttentionBlock(BaseModule):
    """A residual bottleneck whose 3x3 convolution is self-attention.

    Args:
        in_channels (int): Input channels.
        out_channels (int): Output channels, four times the inner width.
        size (tuple[int, int]): Rows and columns of the input map.
        downsample (bool): Halve the map after the attention.
        norm_cfg (dict): Config of the block's batch norms.
        **attention: Arguments of :class:`MapAttention`.
    """

    def __init__(self, in_channels: int, out_channels: int, size: Tuple[int,
                                                                        int],
                 downsample: bool, norm_cfg: dict, **attention: Any) -> None:
        super().__init__()
        inner = out_channels // 4
        self.shortcut = None
        if downsample:
            self.shortcut = _ConvNorm(
                norm_cfg, in_channels, out_channels, 3, stride=2, padding=1)
        elif in_channels != out_channels:
            self.shortcut = _ConvNorm(norm_cfg, in_channels, out_channels, 1)
        self.reduce = _ConvNorm(norm_cfg, in_channels, inner, 1)
        self.attention = MapAttention(inner, size, **attention)
        # ceil_mode makes odd maps as large as the shortcut's.
        self.pool = nn.AvgPool2d(
            2, ceil_mode=True) if downsample else nn.Identity()
        self.bn = _norm(norm_cfg, self.attention.out_channels)
        self.expand = _ConvNorm(norm_cfg, self.attention.out_channels,
                                out_channels, 1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H', W')."""
        short = x if self.shortcut is None else self.relu(self.shortcut(x))
        out = self.attention(self.relu(self.reduce(x)))
        out = self.expand(self.relu(self.bn(self.pool(out))))
        return self.relu(out + short)


@MODELS.register_module()
class AttentionStack(BaseModule):
    """The attention stream of `CARE <https://arxiv.org/abs/2110.05340>`_:
    bottleneck blocks with self-attention over a backbone's map.

    Args:
        in_channels (int): Channels of the backbone's second-to-last stage.
            Defaults to 1024, as in ResNet-50.
        out_channels (int): Output channels. Defaults to 2048.
        img_size (int | tuple[int, int]): Size of the training pictures in
            pixels, (height, width). Position embeddings need it.
            Defaults to 224.
        stride (int): Pixels of the picture per place of the map.
            Defaults to 16.
        num_blocks (int): Number of blocks. Defaults to 5.
        num_heads (int): Attention heads of a block. Defaults to 4.
        head_channels (int): Width of a head. Defaults to 128.
        position (str): 'absolute' (the original) or 'relative'.
            Defaults to 'absolute'.
        norm_cfg (dict): ``dict(type='SyncBN')`` synchronises the batch norms
            of this stack; the original does not. Defaults to
            ``dict(type='BN')``.
        zero_init_residual (bool): Start the last norm of each block at zero.
            The original tries to, but overwrites it later. Defaults to False.
        init_cfg (dict | list, optional): Defaults to Kaiming for convolutions
            and one for norms.
    """

    def __init__(
        self,
        in_channels: int = 1024,
        out_channels: int = 2048,
        img_size: Union[int, Tuple[int, int]] = 224,
        stride: int = 16,
        num_blocks: int = 5,
        num_heads: int = 4,
        head_channels: int = 128,
        position: str = 'absolute',
        norm_cfg: dict = dict(type='BN'),
        zero_init_residual: bool = False,
        init_cfg: Optional[Union[dict, list]] = [
            dict(type='Kaiming', layer='Conv2d'),
            dict(type='Constant', val=1, layer='_BatchNorm')
        ]
    ) -> None:
        super().__init__(init_cfg)
        if isinstance(img_size, int):
            img_size = (img_size, img_size)
        self.img_size = tuple(img_size)
        self.stride = stride
        self.zero_init_residual = zero_init_residual
        height, width = self.img_size
        size = -(-height // stride), -(-width // stride)
        self.size = size
        self.blocks = nn.ModuleList()
        for number in range(num_blocks):
            first = number == 0
            self.blocks.append(
                AttentionBlock(
                    in_channels if first else out_channels,
                    out_channels,
                    size,
                    downsample=first,
                    norm_cfg=norm_cfg,
                    num_heads=num_heads,
                    head_channels=head_channels,
                    position=position))
            if first:
                size = -(-size[0] // 2), -(-size[1] // 2)

    def init_weights(self) -> None:
        """Initialise; set last norms to zero if ``zero_init_residual``."""
        super().init_weights()
        if self.zero_init_residual:
            for block in self.blocks:
                nn.init.zeros_(block.get_parameter('expand.bn.weight'))

    def _check(self, x: Tensor) -> None:
        if tuple(x.shape[2:]) != self.size:
            raise ValueError(
                f'the attention stack is built for img_size={self.img_size} '
                f'and stride={self.stride}, a map of {self.size}, and the '
                f'backbone gives {tuple(x.shape[2:])}; set img_size of the '
                "stack to the size of the pipeline's crops")

    def forward(self, x: Tensor) -> Tensor:
        """The stream's last map.

        Args:
            x (Tensor): Map of the backbone, (N, in_channels, H, W).

        Returns:
            Tensor: (N, out_channels, H/2, W/2), rounded up.

        Raises:
            ValueError: If the map's size is not the configured one.
        """
        self._check(x)
        for block in self.blocks:
            x = block(x)
        return x

    @torch.no_grad()
    def attention_maps(self, x: Tensor) -> List[Tensor]:
        """Attention weights of each block.

        Args:
            x (Tensor): Map of the backbone, (N, in_channels, H, W).

        Returns:
            list[Tensor]: (N, heads, H * W, H * W) for each block.
        """
        self._check(x)
        maps = []
        for block in self.blocks:
            assert isinstance(block, AttentionBlock)
            reduced = block.relu(block.reduce(x))
            maps.append(block.attention.weights(reduced))
            x = block(x)
        return maps
