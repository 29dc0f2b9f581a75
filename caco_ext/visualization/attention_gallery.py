"""Pictures of where a network looks."""
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
from torch import Tensor, nn

from caco_ext.evaluation import evaluation_mode
from .attention import (activation_map, activation_rollout, attention_weights,
                        input_size, prepare, square, stage_maps)
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
        size (int, optional): See :func:`.attention.input_size`. Defaults to
            None; a size below 64 is then multiplied for the activations.
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
    shape = input_size(model, pictures, size)
    # a map of a single place would show nothing
    times = -(-MIN_SIDE // min(shape)) if size is None else 1
    small = [square(picture, shape) for picture in pictures]
    shape = shape[0] * times, shape[1] * times
    pictures = [square(picture, shape) for picture in pictures]
    backbone: Any = model.backbone
    with evaluation_mode(model):
        images = prepare(model, small)
        maps = stage_maps(backbone, prepare(model, pictures))
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
