"""Reading one picture file as the 8-bit BGR array that pipelines expect."""
import io

import cv2
import numpy as np
from mmengine.registry import TRANSFORMS
from PIL import Image

from .base import BaseTransform

# Pictures of the large public sets carry EXIF orientation marks that the
# field's loader (PIL without transposition) ignores; OpenCV would obey them.
_CV2_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
_PNG_END = b'IEND\xaeB`\x82'
# 300 MB decoded.
MAX_PIXELS = 100_000_000
# start-of-frame markers of JPEG; C4, C8 and CC of that range mean other things
_SOF_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class BrokenPictureError(ValueError):
    """A file that should hold a picture cannot be read as one.

    Args:
        path (str): The file.
        reason (str): What is wrong with it. Defaults to ''.
    """

    def __init__(self, path, reason=''):
        super().__init__(path, reason)
        self.path = str(path)
        self.reason = str(reason)

    def __str__(self):
        return f'{self.path} cannot be read as a picture: {self.reason}'


def _jpeg_channels(data):
    """Number of colour channels that a JPEG's frame header names.

    Args:
        data (bytes): The whole file.

    Returns:
        int: 1, 3 or 4; 0 when no frame header is found.
    """
    pos, end = 2, len(data) - 9
    while pos < end:
        if data[pos] != 0xFF:
            return 0
        marker = data[pos + 1]
        if marker in _SOF_MARKERS:
            return data[pos + 9]
        if marker == 0xFF:  # fill byte before a marker
            pos += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # without a body
            pos += 2
        else:
            pos += 2 + (data[pos + 2] << 8 | data[pos + 3])
    return 0


def _check_size(data, path):
    """Refuse a picture that would take gigabytes once it is decoded.

    Args:
        data (bytes): The whole file.
        path (str): Its name.

    Raises:
        BrokenPictureError: It has more than ``MAX_PIXELS``.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            width, height = picture.size
    except Image.DecompressionBombError as error:
        raise BrokenPictureError(path, error) from error
    except Exception:  # whoever decodes it names the reason
        return
    if width * height > MAX_PIXELS:
        raise BrokenPictureError(
            path, f'{width} x {height} pixels are more than the '
            f'{MAX_PIXELS:,} that a picture may have; make it smaller')


def _opencv_decodes(data):
    """Whether OpenCV gives the same pixels as PIL, and a whole picture.

    OpenCV fills the missing part of a truncated JPEG with grey and returns it
    without an error, and converts CMYK by a law of its own. Files that could
    be either go to PIL.

    Args:
        data (bytes): The whole file.

    Returns:
        bool: True for complete grey or three-channel JPEGs and for PNGs.
    """
    if data[:3] == b'\xff\xd8\xff':
        return data[-2:] == b'\xff\xd9' and _jpeg_channels(data) in (1, 3)
    return data[:8] == _PNG_SIGNATURE and data[-8:] == _PNG_END


def _decode_with_pil(data):
    """Decode with PIL, the reference for every unusual format.

    Args:
        data (bytes): The whole file.

    Returns:
        np.ndarray: (H, W, 3) uint8, RGB.

    Raises:
        ValueError: If the samples have no defined 8-bit range.
    """
    with Image.open(io.BytesIO(data)) as picture:
        mode = picture.mode
        if mode == 'F' or (mode == 'I' and picture.getextrema()[1] > 65535):
            raise ValueError(
                f'its samples (mode {mode}) have no defined range; convert '
                'the picture to 8 or 16 bits')
        if mode.startswith('I'):
            # PIL would clip 16-bit samples at 255 instead of scaling them
            grey = (np.asarray(picture).astype(np.uint32) >> 8).astype(
                np.uint8)
            return np.repeat(grey[..., None], 3, axis=2)
        return np.asarray(picture.convert('RGB'))


def decode_picture(data, path='<bytes>'):
    """Decode the bytes of a picture file.

    Grey, palette, CMYK and alpha pictures come out as PIL's
    ``convert('RGB')`` gives them (alpha is dropped), 16-bit pictures are
    scaled to 8 bits, EXIF orientation is ignored.

    Args:
        data (bytes): The whole file.
        path (str): Name for error messages. Defaults to '<bytes>'.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR, contiguous.

    Raises:
        BrokenPictureError: If the bytes are no picture or only part of one.
    """
    if not data:
        raise BrokenPictureError(path, 'the file is empty')
    _check_size(data, path)
    if _opencv_decodes(data):
        try:
            img = cv2.imdecode(np.frombuffer(data, np.uint8), _CV2_FLAGS)
        except cv2.error:
            img = None  # PIL decides, and names the reason
        if img is not None:
            return img
    try:
        rgb = _decode_with_pil(data)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise almost every built-in type
        # PIL names its own buffer object here, which tells a user nothing
        reason = str(error).split(' <_io.')[0] or type(error).__name__
        raise BrokenPictureError(path, reason) from error
    return np.ascontiguousarray(rgb[..., ::-1])


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read a picture as mmcv's transforms expect it, or say that it is broken.

    It differs from mmcv's ``LoadImageFromFile`` where that one is silent:
    a truncated file raises instead of coming out half grey, and every colour
    mode comes out as PIL's ``convert('RGB')``.

    Required Keys:

    - img_path
    - img_bytes (optional): the file's content, when a data set has it already

    Added Keys:

    - img: (H, W, 3) uint8, BGR
    - img_shape: (H, W)
    - ori_shape: (H, W)
    """

    def transform(self, results):
        """Read the picture.

        Args:
            results (dict): Holds ``img_path``, perhaps ``img_bytes``.

        Returns:
            dict: The same dict with the keys named above.

        Raises:
            BrokenPictureError: If there is no readable picture.
        """
        path = results['img_path']
        data = results.pop('img_bytes', None)
        if data is None:
            try:
                with open(path, 'rb') as file:
                    data = file.read()
            except OSError as error:
                raise BrokenPictureError(path, error.strerror) from error
        img = decode_picture(data, path)
        results['img'] = img
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        return results

    def __repr__(self):
        return f'{self.__class__.__name__}()'
