"""Decode pictures on the model's device, and cut views from them.

Pictures of a batch differ in size. They are put on canvases of one size, and
a crop with its resize is two matrix products for the whole batch.
"""
import logging
import warnings
from typing import Iterator, List, Sequence, Tuple, Union

import cv2
import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from ..picture_headers import jpeg_size
from ..pictures import BrokenPictureError, decode_picture
from .device_ops import send

# A JPEG, or a picture that a worker decoded, (H, W, 3) uint8 BGR.
Source = Union[bytes, np.ndarray]
# Top, left, height and width in a picture.
Box = Tuple[int, int, int, int]
# A canvas takes 15 bytes a pixel while a view is cut from it.
CANVAS_PIXELS = 1 << 25
# The rest keeps rounding errors from costing a level.
HALF = 0.5 + 1e-4


def _decode_like_workers(data: bytes, path: str) -> np.ndarray:
    """Decode on the CPU. What only the decoder finds broken becomes grey, as
    no other picture can take its place here.
    """
    try:
        return decode_picture(data, path)
    except BrokenPictureError as error:
        print_log(f'{error}; a grey picture takes its place', 'current',
                  logging.WARNING)
        size = jpeg_size(data) or (1, 1)
        return np.full((*size[::-1], 3), 128, np.uint8)


def _to_device(img: np.ndarray, device: torch.device) -> Tensor:
    rgb = cv2.cvtColor(img, cv2.COLOR_BGR2RGB)
    return send(rgb, device).permute(2, 0, 1)


def _decode_jpegs(files: List[bytes], paths: List[str],
                  device: torch.device) -> List[Tensor]:
    """Decode files on the device, (3, h, w) uint8 RGB each."""
    # `frombuffer` warns of bytes, which cannot be written into.
    encoded = [
        torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in files
    ]
    try:
        with warnings.catch_warnings():
            # torchvision 0.29 names TorchCodec, which is no part of it.
            warnings.filterwarnings('ignore', '.*deprecated', UserWarning)
            return decode_jpeg(encoded, ImageReadMode.RGB, device)
    except RuntimeError as error:
        print_log(
            f'{str(error).splitlines()[0]}; the CPU decodes the '
            f'{len(files)} pictures of this batch', 'current', logging.WARNING)
        return [
            _to_device(_decode_like_workers(data, path), device)
            for data, path in zip(files, paths)
        ]


def decode(sources: Sequence[Source], paths: Sequence[str],
           device: torch.device) -> List[Tensor]:
    """Bring the pictures of a batch to the device.

    Args:
        sources (Sequence[bytes | np.ndarray]): JPEGs, which are decoded
            there, and pictures that the workers decoded, (H, W, 3) uint8 BGR.
        paths (Sequence[str]): Their names, for messages.
        device (torch.device): The device.

    Returns:
        list[Tensor]: (3, h, w) uint8 RGB each.
    """
    places = [i for i, one in enumerate(sources) if isinstance(one, bytes)]
    pictures = {
        i: _to_device(one, device)
        for i, one in enumerate(sources) if isinstance(one, np.ndarray)
    }
    if places:
        files = [one for one in sources if isinstance(one, bytes)]
        pictures.update(
            zip(places, _decode_jpegs(files, [paths[i] for i in places],
                                      device)))
    return [pictures[i] for i in range(len(sources))]


def _groups(pictures: Sequence[Tensor]) -> Iterator[Tuple[int, int]]:
    """Divide a batch, in its order, so that no canvas is too large.

    One large picture must not make all the others as large.
    """
    start = height = width = 0
    for i, picture in enumerate(pictures):
        h, w = max(height, picture.size(1)), max(width, picture.size(2))
        if i > start and (i + 1 - start) * h * w > CANVAS_PIXELS:
            yield start, i
            start, (h, w) = i, picture.shape[1:]
        height, width = h, w
    yield start, len(pictures)


def _canvas(pictures: Sequence[Tensor]) -> Tensor:
    height, width = (
        max(one.size(axis) for one in pictures) for axis in (1, 2))
    canvas = pictures[0].new_zeros(len(pictures), 3, height, width)
    for place, picture in zip(canvas, pictures):
        place[:, :picture.size(1), :picture.size(2)].copy_(picture)
    return canvas


def _weights(start: Tensor, length: Tensor, extent: int, size: int) -> Tensor:
    """Shares of the pixels of a line in those of a view.

    This is PIL's bilinear filter, a triangle that grows where the view is
    smaller than the crop. Pixels outside the crop have no share.

    Args:
        start (Tensor): First pixel of each crop, (n, 1, 1) float32.
        length (Tensor): Number of its pixels, likewise.
        extent (int): Pixels of a line of the canvas.
        size (int): Pixels of the view.

    Returns:
        Tensor: (n, size, extent) float32; each row sums to 1.
    """
    pixels, places = (
        torch.arange(count, dtype=start.dtype, device=start.device) + 0.5
        for count in (extent, size))
    # From the first pixel of the crop to the middle of each pixel.
    source = pixels - start
    scale = length / size
    weights = 1 - (source - places[:, None] * scale).abs() / scale.clamp(min=1)
    weights = weights.clamp_(min=0) * ((source > 0) & (source < length))
    return weights / weights.sum(2, keepdim=True)


def _cut(canvas: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cut boxes, (4, n, 1, 1), from a canvas; (n, 3, size, size) RGB."""
    n, _, height, width = canvas.shape
    top, left, h, w = boxes
    columns = _weights(left, w, width, size).transpose(1, 2)
    lines = canvas.float().view(n, 3 * height, width) @ columns
    # PIL rounds between the passes, and halves upwards.
    lines = lines.add_(HALF).floor_().view(n, 3, height, size)
    rows = _weights(top, h, height, size)[:, None]
    return (rows @ lines).add_(HALF).byte()


def cut_views(pictures: Sequence[Tensor], views: Sequence[Sequence[Box]],
              sizes: Sequence[int]) -> List[Tensor]:
    """Cut views from a batch of pictures, and resize them.

    Args:
        pictures (Sequence[Tensor]): From :func:`decode`.
        views (Sequence[Sequence[tuple[int, int, int, int]]]): For each view
            the box in each picture: top, left, height, width.
        sizes (Sequence[int]): Side of each view in pixels.

    Returns:
        list[Tensor]: (N, 3, size, size) uint8 BGR each. Pixels differ from
        those of ``ViewRandomResizedCrop`` by one level at most.
    """
    numbers = np.array(views, np.float32).transpose(0, 2, 1)
    boxes = send(np.ascontiguousarray(numbers), pictures[0].device)
    boxes = boxes[..., None, None]
    parts: List[List[Tensor]] = [[] for _ in views]
    for start, end in _groups(pictures):
        canvas = _canvas(pictures[start:end])
        for part, box, size in zip(parts, boxes, sizes):
            part.append(_cut(canvas, box[:, start:end], size))
    return [torch.cat(part).flip(1) for part in parts]
