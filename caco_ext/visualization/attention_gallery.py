"""Show where a network looks: activations, and CARE's attention."""
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.nn import functional as F

from caco_ext.evaluation import evaluation_mode, one_view
from .panels import GREEN, Gallery, Tile
from .tiles import fit, mark, overlay

# Longer side of a tile in pixels, so that coarse maps are visible.
SHOWN = 160
# Shorter side of the pictures whose activations are shown, in pixels.
MIN_SIDE = 64


def _grid(weights: Tensor, images: Tensor) -> Tuple[int, int]:
    """Rows and columns of the attention's places."""
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
        size (int, optional): Side of the pictures in pixels. Defaults to
            None: the shorter side of the smallest picture, from 64 to 448.
            CARE uses the size of its attention stack. For its activations, a
            multiple of it of at least 64 is used.
        block (int): Block of CARE's attention stack, from 0. Defaults to 0,
            which has the finest map.
        place (tuple[float, float], optional): The place whose attention is
            shown, as shares of height and width. Defaults to None: the place
            of strongest activation.
        title (str): Printed above. Defaults to ''.

    Returns:
        Gallery: A row for each picture, with the activation of the last
        stage and of all stages. CARE adds the attention of each head at the
        marked place, and the mean over all places.

    Raises:
        ValueError: The size or the block does not fit the model.
    """
    shape = _input_size(model, pictures, size)
    # A map of a single place would show nothing.
    times = -(-MIN_SIDE // min(shape)) if size is None else 1
    small = [_square(picture, shape) for picture in pictures]
    shape = shape[0] * times, shape[1] * times
    pictures = [_square(picture, shape) for picture in pictures]
    backbone: Any = model.backbone
    with evaluation_mode(model):
        images = _prepare(model, small)
        maps = _stage_maps(backbone, _prepare(model, pictures))
        weights = _attention_weights(model, images, block)
    active = _activation_map(maps[-1]).cpu().numpy()
    rolled = _activation_rollout(maps).cpu().numpy()
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
    note = ('bright: much, dark: little, from the least to the largest value '
            'of each map; activation: share of each place in the averaged '
            'feature, of no class; all stages: how strong a place is in every '
            'stage, as the geometric mean of their energies')
    if weights is not None:
        note += (f'; heads: what the framed place attends to in block '
                 f'{block} of the attention stack; attended: what all places '
                 'and heads attend to')
    return Gallery(title, rows, note)


def _place(active: np.ndarray, grid: Tuple[int, int],
           place: Optional[Tuple[float, float]]) -> Tuple[int, int]:
    if place is None:
        y, x = divmod(int(active.argmax()), active.shape[1])
        place = (y + 0.5) / active.shape[0], (x + 0.5) / active.shape[1]
    row, column = (min(n - 1, max(0, int(share * n)))
                   for share, n in zip(place, grid))
    return row, column


def _heads(picture: np.ndarray, weights: np.ndarray, grid: Tuple[int, int],
           where: Tuple[int, int]) -> List[Tile]:
    """The attention of each head at a place, and the mean of all."""
    height, width = picture.shape[:2]
    box = (where[0] * height // grid[0], where[1] * width // grid[1],
           height // grid[0], width // grid[1])
    number = where[0] * grid[1] + where[1]
    tiles = [
        Tile(
            mark(overlay(picture, head[number].reshape(grid)), box, GREEN),
            f'head {h + 1}') for h, head in enumerate(weights)
    ]
    attended = weights.mean((0, 1)).reshape(grid)
    return [*tiles, Tile(overlay(picture, attended), 'attended')]


def _square(picture: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Scale a picture to fill (height, width) and cut off what sticks out."""
    height, width = picture.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    large = fit(picture, max(1, round(max(height, width) * scale)))
    # After rounding, a pixel may be missing.
    large = np.pad(large, [(0, max(0, size[0] - large.shape[0])),
                           (0, max(0, size[1] - large.shape[1])), (0, 0)],
                   'edge')
    top, left = ((a - b) // 2 for a, b in zip(large.shape, size))
    return large[top:top + size[0], left:left + size[1]]


def _input_size(model: nn.Module, pictures: Sequence[np.ndarray],
                size: Optional[int]) -> Tuple[int, int]:
    """Height and width at which pictures go through a model.

    CARE takes those of its attention stack. Other models take ``size``;
    without one, the shorter side of the smallest picture, from 64 to 448.

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


def _prepare(model: nn.Module, pictures: Sequence[np.ndarray]) -> Tensor:
    """RGB pictures of one size, normalised as in training: (N, 3, H, W)."""
    rgb = torch.from_numpy(np.stack(pictures))
    bgr = rgb.permute(0, 3, 1, 2).flip(1).contiguous()
    samples = [BaseDataElement() for _ in pictures]
    return one_view(model, dict(inputs=[bgr], data_samples=samples))


@torch.no_grad()
def _stage_maps(backbone: nn.Module, images: Tensor) -> List[Tensor]:
    """The map (N, C, h, w) after each stage of a ResNet of the hosts.

    Of another backbone, the maps that it returns are used.

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


def _activation_map(last: Tensor) -> Tensor:
    r"""How much each place contributes to the averaged feature, (N, h, w).

    kNN and linear classifiers use the average :math:`\bar f` of the features
    :math:`f_i` of all places. No class is needed; the mean of a map is 1:

    .. math:: a_i = f_i \cdot \bar f / (\bar f \cdot \bar f)
    """
    mean = last.mean((2, 3), keepdim=True)
    return (last * mean).sum(1) / mean.square().sum(1).clamp(min=1e-12)


def _activation_rollout(maps: Sequence[Tensor]) -> Tensor:
    """The activations of all stages in one map, as fine as the first.

    Attention rollout multiplies the attention of all layers. Here the mean
    square over channels replaces attention, except in the last stage, which
    uses :func:`_activation_map`. The geometric mean over the stages keeps
    only places that are strong in all of them.
    """
    size = maps[0].shape[2:]
    energies = [m.square().mean(1) for m in maps[:-1]]
    energies.append(_activation_map(maps[-1]).clamp(min=0))
    logs = []
    for energy in energies:
        energy = energy / energy.mean((1, 2), keepdim=True).clamp(min=1e-12)
        large = F.interpolate(
            energy[:, None], size, mode='bilinear', align_corners=False)
        logs.append(large[:, 0].clamp(min=1e-6).log())
    return torch.stack(logs).mean(0).exp()


@torch.no_grad()
def _attention_weights(model: nn.Module, images: Tensor,
                       block: int) -> Optional[Tensor]:
    """How much places attend to each other in a block of CARE.

    The weights are (N, heads, places, places), and each row sums to 1; None
    where the model has no attention stack.

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
