"""Where a network looks: activations of any, attention of CARE."""
from typing import List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.nn import functional as F

from caco_ext.evaluation import one_view
from .tiles import fit


def square(picture: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Cut out the middle and bring it to a size.

    Args:
        picture (np.ndarray): (H, W, 3) uint8.
        size (tuple[int, int]): Height and width.

    Returns:
        np.ndarray: (height, width, 3) uint8.
    """
    height, width = picture.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    large = fit(picture, max(1, round(max(height, width) * scale)))
    # rounding can leave a pixel too few
    large = np.pad(large, [(0, max(0, size[0] - large.shape[0])),
                           (0, max(0, size[1] - large.shape[1])), (0, 0)],
                   'edge')
    top, left = ((a - b) // 2 for a, b in zip(large.shape, size))
    return large[top:top + size[0], left:left + size[1]]


def input_size(model: nn.Module, pictures: Sequence[np.ndarray],
               size: Optional[int]) -> Tuple[int, int]:
    """Size at which pictures go through a model.

    Args:
        model (nn.Module): The model.
        pictures (Sequence[np.ndarray]): The pictures.
        size (int, optional): What is wished.

    Returns:
        tuple[int, int]: Height and width: those that CARE's attention stack
        is built for, else the wished, else the shorter side of the smallest
        picture, at least 64 and at most 448.

    Raises:
        ValueError: A size is wished that the attention stack cannot take.
    """
    attention = getattr(model, 'attention', None)
    fixed = getattr(attention, 'img_size', None)
    if fixed is not None:
        if size is not None and (size, size) != fixed:
            raise ValueError(f'size={size}, but the attention stack of this '
                             f'model is built for {fixed}; leave size out')
        return fixed
    if size is None:
        size = min(min(p.shape[:2]) for p in pictures)
        size = min(max(size, 64), 448)
    return size, size


def prepare(model: nn.Module, pictures: Sequence[np.ndarray]) -> Tensor:
    """Normalise pictures as the training did.

    Args:
        model (nn.Module): With a ``data_preprocessor``.
        pictures (Sequence[np.ndarray]): (H, W, 3) uint8 RGB, of one size.

    Returns:
        Tensor: (N, 3, H, W), on the model's device.
    """
    rgb = torch.from_numpy(np.stack(pictures))
    bgr = rgb.permute(0, 3, 1, 2).flip(1).contiguous()
    samples = [BaseDataElement() for _ in pictures]
    return one_view(model, dict(inputs=[bgr], data_samples=samples))


@torch.no_grad()
def stage_maps(backbone: nn.Module, images: Tensor) -> List[Tensor]:
    """Maps behind all stages, whichever the backbone gives out.

    Args:
        backbone (nn.Module): The hosts' ResNet; of another one the maps that
            it gives out are taken.
        images (Tensor): (N, 3, H, W).

    Returns:
        list[Tensor]: (N, C, h, w) each, float32.

    Raises:
        ValueError: It gives no maps.
    """
    maps: List[Tensor] = []
    handles = [
        getattr(backbone, name).register_forward_hook(
            lambda module, args, out: maps.append(out))
        for name in getattr(backbone, 'res_layers', ())
    ]
    try:
        out = backbone(images)
    finally:
        for handle in handles:
            handle.remove()
    if not maps:
        maps = list(out) if isinstance(out, (tuple, list)) else [out]
    maps = [m.float() for m in maps if isinstance(m, Tensor) and m.ndim == 4]
    if not maps:
        raise ValueError(f'{type(backbone).__name__} gives no feature maps '
                         '(N, C, h, w), so there are no activations to show')
    return maps


def activation_map(last: Tensor) -> Tensor:
    r"""Share of each place in the averaged feature, of no class.

    With f the features of the places and :math:`\bar f` their mean, which is
    what kNN and linear classifiers see,

    .. math:: a_i = f_i \cdot \bar f / (\bar f \cdot \bar f)

    Args:
        last (Tensor): Last map, (N, C, h, w).

    Returns:
        Tensor: (N, h, w), of mean one.
    """
    mean = last.mean((2, 3), keepdim=True)
    return (last * mean).sum(1) / mean.square().sum(1).clamp(min=1e-12)


def activation_rollout(maps: Sequence[Tensor]) -> Tensor:
    """Activations of all stages rolled into one map as fine as the first.

    Attention rollout multiplies the attention of all layers; here it is the
    energy of a place (mean square over channels) in all stages but the last,
    which counts by :func:`activation_map`: what is strong everywhere stays.

    Args:
        maps (Sequence[Tensor]): Of :func:`stage_maps`.

    Returns:
        Tensor: (N, h, w), geometric mean over the stages.
    """
    size = maps[0].shape[2:]
    energies = [m.square().mean(1) for m in maps[:-1]]
    energies.append(activation_map(maps[-1]).clamp(min=0))
    total = 0.
    for energy in energies:
        energy = energy / energy.mean((1, 2), keepdim=True).clamp(min=1e-12)
        large = F.interpolate(
            energy[:, None], size, mode='bilinear', align_corners=False)
        total = total + large[:, 0].clamp(min=1e-6).log()
    return (total / len(energies)).exp()


@torch.no_grad()
def attention_weights(model: nn.Module, images: Tensor,
                      block: int) -> Optional[Tensor]:
    """Who attends to whom in a block of CARE's attention stack.

    Args:
        model (nn.Module): Any; only one with an attention stack attends.
        images (Tensor): (N, 3, H, W) of the size the stack is built for.
        block (int): Number of the block, from 0; -1 is the last.

    Returns:
        Tensor | None: (N, heads, places, places), rows of sum one; None for
        other methods.

    Raises:
        ValueError: There is no such block.
    """
    attention = getattr(model, 'attention', None)
    if not hasattr(attention, 'attention_maps'):
        return None
    maps = attention.attention_maps(model.backbone(images)[-2])
    if not -len(maps) <= block < len(maps):
        raise ValueError(f'block {block} of the attention stack: it has '
                         f'{len(maps)}, from 0 to {len(maps) - 1}')
    return maps[block].float()
