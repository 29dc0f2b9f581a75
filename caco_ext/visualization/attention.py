"""Where a network looks: activations of any, attention of CARE."""
from contextlib import ExitStack
from typing import List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.nn import functional as F

from caco_ext.evaluation import evaluation_mode, one_view
from .panels import GREEN, Gallery, Tile
from .tiles import fit, mark, overlay

# Pixels of a tile: maps of a few places have to be seen on small pictures.
SHOWN = 160


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


def _grid(weights: Tensor, images: Tensor) -> Tuple[int, int]:
    """Rows and columns of places, in the proportions of the pictures."""
    places, (height, width) = weights.size(-1), images.shape[2:]
    rows = max(1, round((places * height / width)**0.5))
    return rows, places // rows


def look(model: nn.Module,
         pictures: Sequence[np.ndarray],
         size: Optional[int] = None,
         block: int = 0,
         place: Optional[Tuple[float, float]] = None,
         title: str = '') -> Gallery:
    """Show where a network looks.

    Args:
        model (nn.Module): An algorithm with ``backbone`` and
            ``data_preprocessor``. Its mode and buffers stay.
        pictures (Sequence[np.ndarray]): (H, W, 3) uint8 RGB.
        size (int, optional): See :func:`input_size`. Defaults to None.
        block (int): Of CARE's attention stack, from 0. Defaults to 0, which
            has the finest map.
        place (tuple[float, float], optional): Which place attends, down and
            across as shares of the picture. Defaults to None: the place of
            strongest activation.
        title (str): Printed above. Defaults to ''.

    Returns:
        Gallery: A row for each picture: the picture, the activation of its
        last map, the rollout over all stages; for CARE each head at the
        marked place, and how much all places attend to each.

    Raises:
        ValueError: See the functions above.
    """
    shape = input_size(model, pictures, size)
    pictures = [square(picture, shape) for picture in pictures]
    with ExitStack() as stack:
        # not of the whole model: banks are large, and each rank has its own
        for name in ('backbone', 'attention'):
            if isinstance(getattr(model, name, None), nn.Module):
                stack.enter_context(evaluation_mode(getattr(model, name)))
        images = prepare(model, pictures)
        maps = stage_maps(model.backbone, images)
        weights = attention_weights(model, images, block)
    active = activation_map(maps[-1]).cpu().numpy()
    rolled = activation_rollout(maps).cpu().numpy()
    rows = []
    for i, picture in enumerate(pictures):
        large = fit(picture, SHOWN)
        row = [
            Tile(large, 'picture'),
            Tile(overlay(large, active[i]), 'activation'),
            Tile(overlay(large, rolled[i]), 'all stages')
        ]
        if weights is not None:
            grid = _grid(weights, images)
            where = _place(active[i], grid, place)
            row += _heads(large, weights[i].cpu().numpy(), grid, where)
        rows.append(row)
    note = ('activation: share of each place in the averaged feature, of no '
            'class; all stages: product of the activations of all stages')
    if weights is not None:
        note += (f'; heads: what the framed place attends to in block '
                 f'{block} of the attention stack; attended: what all places '
                 'and heads attend to')
    return Gallery(title, rows, note)


def _place(active: np.ndarray, grid: Tuple[int, int],
           place: Optional[Tuple[float, float]]) -> Tuple[int, int]:
    if place is None:
        top = np.unravel_index(active.argmax(), active.shape)
        place = [(edge + 0.5) / n for edge, n in zip(top, active.shape)]
    return tuple(
        min(n - 1, max(0, int(edge * n))) for edge, n in zip(place, grid))


def _heads(picture: np.ndarray, weights: np.ndarray, grid: Tuple[int, int],
           where: Tuple[int, int]) -> List[Tile]:
    """Tiles of each head at a place, and of all."""
    height, width = picture.shape[:2]
    box = (where[0] * height // grid[0], where[1] * width // grid[1],
           height // grid[0], width // grid[1])
    number = where[0] * grid[1] + where[1]
    tiles = [
        Tile(
            mark(overlay(picture, head[number].reshape(grid)), box, GREEN, 2),
            f'head {h + 1}') for h, head in enumerate(weights)
    ]
    attended = weights.mean((0, 1)).reshape(grid)
    return [*tiles, Tile(overlay(picture, attended), 'attended')]
