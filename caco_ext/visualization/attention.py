"""Maps of where a network looks: activations, and the attention of CARE."""
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.nn import functional as F

from caco_ext.evaluation import one_view
from .tiles import fit


def square(picture: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Scale a picture to fill a size and cut off what sticks out.

    Args:
        picture (np.ndarray): (H, W, 3) uint8.
        size (tuple[int, int]): Height and width.

    Returns:
        np.ndarray: (height, width, 3) uint8.
    """
    height, width = picture.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    large = fit(picture, max(1, round(max(height, width) * scale)))
    # rounding may have left a pixel too few
    large = np.pad(large, [(0, max(0, size[0] - large.shape[0])),
                           (0, max(0, size[1] - large.shape[1])), (0, 0)],
                   'edge')
    top, left = ((a - b) // 2 for a, b in zip(large.shape, size))
    return large[top:top + size[0], left:left + size[1]]


def input_size(model: nn.Module, pictures: Sequence[np.ndarray],
               size: Optional[int]) -> Tuple[int, int]:
    """Choose the size at which pictures go through a model.

    Args:
        model (nn.Module): The model.
        pictures (Sequence[np.ndarray]): (H, W, 3) each.
        size (int, optional): The size that the user asks for, in pixels.

    Returns:
        tuple[int, int]: Height and width. CARE takes those that its attention
        stack is built for. Other models take ``size``; without one, the
        shorter side of the smallest picture, between 64 and 448.

    Raises:
        ValueError: The attention stack cannot take ``size``.
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
        model (nn.Module): It has a ``data_preprocessor``.
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
    """Compute the feature map after each stage of a backbone.

    Args:
        backbone (nn.Module): A ResNet of the hosts. Of another network, the
            maps that it returns are used.
        images (Tensor): (N, 3, H, W).

    Returns:
        list[Tensor]: (N, C, h, w) each, float32.

    Raises:
        ValueError: The backbone returns no maps.
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
    r"""Compute how much each place contributes to the averaged feature.

    kNN and linear classifiers use the average :math:`\bar f` of the features
    :math:`f_i` of all places. No class is needed:

    .. math:: a_i = f_i \cdot \bar f / (\bar f \cdot \bar f)

    Args:
        last (Tensor): Map of the last stage, (N, C, h, w).

    Returns:
        Tensor: (N, h, w). The mean of each map is 1.
    """
    mean = last.mean((2, 3), keepdim=True)
    return (last * mean).sum(1) / mean.square().sum(1).clamp(min=1e-12)


def activation_rollout(maps: Sequence[Tensor]) -> Tensor:
    """Combine the activations of all stages in one map.

    Attention rollout multiplies the attention of all layers. Here the energy
    of a place (mean square over channels) takes the place of attention. The
    last stage counts by :func:`activation_map`. Only places that are strong in
    every stage stay bright.

    Args:
        maps (Sequence[Tensor]): Of :func:`stage_maps`.

    Returns:
        Tensor: (N, h, w) with the size of the first map: the geometric mean
        over the stages.
    """
    size = maps[0].shape[2:]
    energies = [m.square().mean(1) for m in maps[:-1]]
    energies.append(activation_map(maps[-1]).clamp(min=0))
    logs = []
    for energy in energies:
        energy = energy / energy.mean((1, 2), keepdim=True).clamp(min=1e-12)
        large = F.interpolate(
            energy[:, None], size, mode='bilinear', align_corners=False)
        logs.append(large[:, 0].clamp(min=1e-6).log())
    return torch.stack(logs).mean(0).exp()


@torch.no_grad()
def attention_weights(model: nn.Module, images: Tensor,
                      block: int) -> Optional[Tensor]:
    """Compute how much places attend to each other in a block of CARE.

    Args:
        model (nn.Module): The model.
        images (Tensor): (N, 3, H, W) of the size that its attention stack is
            built for.
        block (int): Number of the block, from 0; -1 is the last.

    Returns:
        Tensor | None: (N, heads, places, places), where each row sums to 1.
        None where the model has no attention stack.

    Raises:
        ValueError: There is no such block.
    """
    attention: Any = getattr(model, 'attention', None)
    if not hasattr(attention, 'attention_maps'):
        return None
    backbone: Any = model.backbone
    maps = attention.attention_maps(backbone(images)[-2])
    if not -len(maps) <= block < len(maps):
        raise ValueError(f'block {block} of the attention stack: it has '
                         f'{len(maps)}, from 0 to {len(maps) - 1}')
    return maps[block].float()
