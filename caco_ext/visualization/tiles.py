"""Scaling, arranging, colouring and encoding of pictures."""
import base64
import io
from typing import Sequence, Tuple

import cv2
import numpy as np
from PIL import Image

THUMB = 56
COLUMNS = 40


def fit(picture: np.ndarray, side: int) -> np.ndarray:
    """Scale a picture by its longer side.

    Args:
        picture (np.ndarray): (H, W, 3) uint8.
        side (int): The longer side of the result in pixels.

    Returns:
        np.ndarray: (h, w, 3) uint8.
    """
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, size, interpolation=way)


def thumbnails(pictures: Sequence[np.ndarray],
               side: int = THUMB) -> np.ndarray:
    """Scale pictures to small squares, with grey edges where needed.

    Args:
        pictures (Sequence[np.ndarray]): (H, W, 3) uint8 each.
        side (int): Side of a square in pixels. Defaults to 56.

    Returns:
        np.ndarray: (N, side, side, 3) uint8.
    """
    out = np.full((len(pictures), side, side, 3), 238, np.uint8)
    for place, picture in zip(out, pictures):
        small = fit(picture, side)
        top, left = ((side - n) // 2 for n in small.shape[:2])
        place[top:top + small.shape[0], left:left + small.shape[1]] = small
    return out


def sheet(thumbs: np.ndarray) -> np.ndarray:
    """Arrange thumbnails in one picture, 40 in a row.

    Args:
        thumbs (np.ndarray): (N, side, side, 3) uint8.

    Returns:
        np.ndarray: (rows * side, 40 * side, 3) uint8.
    """
    side = thumbs.shape[1]
    rows = -(-len(thumbs) // COLUMNS)
    out = np.zeros((rows * COLUMNS, *thumbs.shape[1:]), np.uint8)
    out[:len(thumbs)] = thumbs
    out = out.reshape(rows, COLUMNS, side, side, 3).transpose(0, 2, 1, 3, 4)
    return out.reshape(rows * side, COLUMNS * side, 3)


def data_uri(picture: np.ndarray, quality: int = 88) -> str:
    """Encode a picture as a data URI, which a page holds in itself.

    Args:
        picture (np.ndarray): (H, W, 3) uint8 RGB.
        quality (int): Quality of the JPEG, up to 100. Defaults to 88.

    Returns:
        str: ``data:image/jpeg;base64,...``.
    """
    file = io.BytesIO()
    Image.fromarray(picture).save(file, 'JPEG', quality=quality)
    return 'data:image/jpeg;base64,' + base64.b64encode(
        file.getvalue()).decode()


def heat(values: np.ndarray) -> np.ndarray:
    """Colour numbers, from dark for the lowest to yellow for the highest.

    Args:
        values (np.ndarray): (h, w). Where all are equal up to rounding, all
            are dark.

    Returns:
        np.ndarray: (h, w, 3) uint8 RGB.
    """
    low, high = float(values.min()), float(values.max())
    differ = high - low > 1e-5 * max(abs(low), abs(high))
    scaled = (values - low) / (high - low) if differ else values * 0
    grey = (scaled * 255).round().astype(np.uint8)
    return cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO)[..., ::-1].copy()


def overlay(picture: np.ndarray,
            values: np.ndarray,
            strength: float = 0.6) -> np.ndarray:
    """Blend a map of numbers with a picture.

    Args:
        picture (np.ndarray): (H, W, 3) uint8 RGB.
        values (np.ndarray): (h, w), enlarged smoothly.
        strength (float): Weight of the map, 0 to 1. Defaults to 0.6.

    Returns:
        np.ndarray: (H, W, 3) uint8 RGB.
    """
    height, width = picture.shape[:2]
    large = cv2.resize(
        values.astype(np.float32), (width, height),
        interpolation=cv2.INTER_CUBIC)
    mixed = (1 - strength) * picture + strength * heat(large)
    return mixed.round().astype(np.uint8)


def mark(picture: np.ndarray, box: Tuple[int, int, int, int],
         colour: str) -> np.ndarray:
    """Draw the outline of a box into a copy of a picture, two pixels wide.

    Args:
        picture (np.ndarray): (H, W, 3) uint8 RGB.
        box (tuple[int, int, int, int]): Top, left, height, width in pixels.
        colour (str): '#rrggbb'.

    Returns:
        np.ndarray: The copy.
    """
    top, left, height, wide = box
    out = np.ascontiguousarray(picture).copy()
    rgb = tuple(int(colour[i:i + 2], 16) for i in (1, 3, 5))
    cv2.rectangle(out, (left, top), (left + wide - 1, top + height - 1), rgb,
                  2)
    return out
