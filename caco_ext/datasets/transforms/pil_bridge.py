"""Convert between the pipelines' BGR arrays and PIL's RGB pictures."""
import numpy as np
from PIL import Image


def to_pil(img: np.ndarray) -> Image.Image:
    """Make a PIL picture.

    Args:
        img (np.ndarray): (H, W, 3) uint8, BGR.

    Returns:
        PIL.Image.Image: The same picture, RGB.
    """
    size = img.shape[1], img.shape[0]
    # PIL's unpacker swaps the channels while it copies, which saves a pass.
    return Image.frombuffer('RGB', size, np.ascontiguousarray(img), 'raw',
                            'BGR', 0, 1)


def to_bgr(picture: Image.Image) -> np.ndarray:
    """Make an array of the pipelines.

    Args:
        picture (PIL.Image.Image): An RGB picture.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.
    """
    data = bytearray(picture.tobytes('raw', 'BGR'))
    return np.frombuffer(data, np.uint8).reshape(picture.height, picture.width,
                                                 3)
