"""Read a picture file. Every part of the package does it here."""
import errno
import io
import os
import stat
from typing import Any, Optional, Tuple, Union

import cv2
import numpy as np
from PIL import Image

from .formats import PICTURE_FORMATS
from .picture_headers import is_jpeg_of_rgb, jpeg_size, png_size
from .picture_samples import check_bands, check_pages, rgb_samples

# Large public sets contain pictures with EXIF orientation. The usual loader,
# PIL without transposition, ignores it. OpenCV would apply it.
_CV2_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
# 300 MB decoded.
MAX_PIXELS = 100_000_000
# More than MAX_PIXELS take with four bands of 16 bits.
MAX_BYTES = 1 << 30
_TGA_ENDINGS = ('.tga', '.icb', '.vda', '.vst')
# Errors of the path itself. Other errors of opening and reading (out of files
# or memory, a network disk that hangs) would hit the next picture too.
_FAULTS_OF_A_FILE = frozenset(
    (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR,
     errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.ENXIO, errno.ENODEV))
_KINDS = {
    stat.S_IFDIR: 'a directory',
    stat.S_IFIFO: 'a FIFO',
    stat.S_IFSOCK: 'a socket',
    stat.S_IFCHR: 'a device',
    stat.S_IFBLK: 'a device'
}


class BrokenPictureError(ValueError):
    """A file that should hold a picture cannot be read as one.

    Args:
        path (str | PathLike): The file.
        reason (Any): What is wrong with it. Defaults to ''.
    """

    def __init__(self,
                 path: Union[str, os.PathLike],
                 reason: Any = '') -> None:
        super().__init__(path, reason)
        self.path = str(path)
        self.reason = str(reason)

    def __str__(self) -> str:
        # A log must be able to print a name that is not UTF-8.
        path = self.path.encode('utf-8', 'backslashreplace').decode()
        return f'{path} cannot be read as a picture: {self.reason}'


def read_content(path: Union[str, os.PathLike]) -> bytes:
    """Read the bytes of a picture file.

    Args:
        path (str | PathLike): The file.

    Returns:
        bytes: Its content.

    Raises:
        BrokenPictureError: There is no such file, it is no regular file, or
            it is larger than ``MAX_BYTES``.
        OSError: The machine or the storage fails.
    """
    try:
        # Before opening: a FIFO would block, a device might react.
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), 'something else')
            raise BrokenPictureError(path, f'it is {kind}, not a file')
        if status.st_size > MAX_BYTES:
            raise BrokenPictureError(
                path, f'it has {status.st_size:,} bytes, more than the '
                f'{MAX_BYTES:,} that a picture may have')
        with open(path, 'rb') as file:
            return file.read(status.st_size)
    except OSError as error:
        if error.errno in _FAULTS_OF_A_FILE:
            raise BrokenPictureError(path, error.strerror) from error
        hint = 'the machine or its storage fails, not the picture'
        if error.errno in (errno.EMFILE, errno.ENFILE):
            hint = 'raise `ulimit -n` or lower num_workers'
        raise OSError(error.errno, f'{error.strerror}; {hint}',
                      os.fspath(path)) from error
    except BrokenPictureError:
        raise
    except ValueError as error:  # a name with a zero byte
        raise BrokenPictureError(path, error) from error


def _check_pixels(width: int, height: int) -> None:
    """Refuse a picture that would take gigabytes when decoded."""
    if width * height > MAX_PIXELS:
        raise ValueError(
            f'{width} x {height} pixels are more than the {MAX_PIXELS:,} '
            'that a picture may have; make it smaller')


def _decode_with_opencv(data: bytes) -> Optional[np.ndarray]:
    """Decode to (H, W, 3) uint8, BGR, if OpenCV does so safely and to the
    same pixels as PIL. Return None otherwise.
    """
    size = jpeg_size(data) or png_size(data)
    if size is None:
        return None
    _check_pixels(*size)
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), _CV2_FLAGS)
    except cv2.error:
        return None  # PIL will name the reason


def _decode_with_pil(data: bytes, path: str) -> np.ndarray:
    """Decode with PIL, the reference for every unusual format, to (H, W, 3)
    uint8, BGR.
    """
    formats = PICTURE_FORMATS
    if not path.lower().endswith(_TGA_ENDINGS):
        # TGA has no signature, so any damaged file may look like one.
        formats = tuple(name for name in formats if name != 'TGA')
    check_bands(data)
    with Image.open(io.BytesIO(data), formats=formats) as picture:
        _check_pixels(*picture.size)
        check_pages(picture)
        return cv2.cvtColor(rgb_samples(picture), cv2.COLOR_RGB2BGR)


def decode_picture(data: bytes, path: str = '<bytes>') -> np.ndarray:
    """Decode the bytes of a picture file.

    Grey, palette, CMYK and alpha pictures become what PIL's
    ``convert('RGB')`` makes of them (alpha is dropped). 16-bit pictures lose
    their lower 8 bits. EXIF orientation is ignored. Of an animation, the
    first picture is used.

    Args:
        data (bytes): The whole file.
        path (str): Its name, for messages and to recognise TGA, which has no
            signature. Defaults to '<bytes>'.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR, contiguous.

    Raises:
        BrokenPictureError: The bytes are no picture or only part of one. Or
            its pages, bands or range are ambiguous.
    """
    if not data:
        raise BrokenPictureError(path, 'the file is empty')
    try:
        img = _decode_with_opencv(data)
        return _decode_with_pil(data, str(path)) if img is None else img
    except MemoryError as error:
        raise MemoryError(f'no memory is left to decode {path}') from error
    except Exception as error:  # decoders raise almost every built-in type
        # Leave out PIL's buffer object, which means nothing to a user.
        reason = str(error).split(' <_io.')[0] or type(error).__name__
        raise BrokenPictureError(path, reason) from error


def common_jpeg_size(data: bytes) -> Optional[Tuple[int, int]]:
    """Size of a JPEG that any decoder, also that of a GPU, reads alike.

    Args:
        data (bytes): The whole file.

    Returns:
        tuple[int, int] | None: Height and width. None for a file of another
        kind, an incomplete or too large one, and a JPEG of CMYK or RGB.
    """
    size = jpeg_size(data)
    if size is None or size[0] * size[1] > MAX_PIXELS or is_jpeg_of_rgb(data):
        return None
    return size[1], size[0]


def read_picture(path: Union[str, os.PathLike]) -> np.ndarray:
    """Read a picture file.

    Args:
        path (str | PathLike): The file.

    Returns:
        np.ndarray: (H, W, 3) uint8, RGB, see :func:`decode_picture`.

    Raises:
        BrokenPictureError: It is no picture that can be read with certainty.
        OSError: The machine or the storage fails, whatever the picture.
    """
    img = decode_picture(read_content(path), os.fspath(path))
    return cv2.cvtColor(img, cv2.COLOR_BGR2RGB, dst=img)
