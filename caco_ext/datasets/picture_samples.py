"""Convert a file's samples to 8-bit RGB, or explain why it is ambiguous."""
import io

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

# 10-, 12- or 14-bit pictures in 16-bit samples stay below this value.
LEAST_16_BIT_MAXIMUM = 1 << 14
# Numbers of TIFF tags, and of the kinds that SampleFormat may have.
_SUBFILE, _BITS, _PHOTOMETRIC, _BANDS = 254, 258, 262, 277
_EXTRA, _FORMAT = 338, 339
_UNSIGNED, _SIGNED, _FLOAT, _UNDEFINED = 1, 2, 3, 4
_KINDS = {_UNSIGNED: 'unsigned', _SIGNED: 'signed', _FLOAT: 'floating-point'}
_WAY_OUT = ('convert the picture to 8 bits, or scale it to the full range of '
            '16 bits')


def check_bands(data: bytes) -> None:
    """Refuse a TIFF whose bands do not form a grey or colour picture.

    Args:
        data (bytes): The whole file, of any format.

    Raises:
        ValueError: It has more than four bands, or two of which none is
            alpha, or samples that PIL cannot read or would cut off.
    """
    if data[:4] not in (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'):
        return
    tags = ImageFileDirectory_v2(data[:16 if 43 in data[2:4] else 8])
    file = io.BytesIO(data)
    file.seek(tags.next)
    tags.load(file)
    bands, bits = tags.get(_BANDS, 1), max(tags.get(_BITS, (1, )))
    kind = max(tags.get(_FORMAT, (_UNSIGNED, )))
    if bands == 1:
        fits = bits == 32 or bits <= 16 and kind != _FLOAT
    else:
        fits = bits <= 16 and kind in (_UNSIGNED, _UNDEFINED) and (
            bands in (3, 4) or bands == 2 and tags.get(_EXTRA) != (0, ))
    if not fits:
        raise ValueError(
            f'it has {bands} band{"s" * (bands > 1)} of {bits}-bit '
            f'{_KINDS.get(kind, "other")} samples, and how they make red, '
            'green and blue is not certain; convert it to grey or RGB of 8 '
            'bits')


def check_pages(picture: Image.Image) -> None:
    """Refuse a file of several pages; thumbnails and masks do not count.

    Pages are pictures of equal rank, so none can be chosen. An animation is
    accepted: its first picture is used, as is usual in the field.

    Args:
        picture (PIL.Image.Image): The picture, opened but not yet loaded.

    Raises:
        ValueError: It has more than one page.
    """
    is_paged = picture.format in ('TIFF', 'DCX')
    frames = getattr(picture, 'n_frames', 1) if is_paged else 1
    if frames == 1:
        return
    pages = 0
    for number in range(frames):
        picture.seek(number)
        tags = getattr(picture, 'tag_v2', {})
        pages += not tags.get(_SUBFILE, 0) & 0b101
    picture.seek(0)
    if pages > 1:
        raise ValueError(
            f'it has {pages} pages or bands, and which of them is meant is '
            'not certain; save each as a file of its own')


def rgb_samples(picture: Image.Image) -> np.ndarray:
    """The pixels of a picture as 8-bit RGB.

    Args:
        picture (PIL.Image.Image): A picture of any mode.

    Returns:
        np.ndarray: (H, W, 3) uint8. Samples of 8 bits or fewer go through
        PIL's ``convert('RGB')``. Samples of 16 bits give their upper 8 bits.

    Raises:
        ValueError: It is unclear how the samples map to 8 bits.
    """
    # Until the picture is loaded, `tile` names the layout in the file.
    stored = str(getattr(picture, 'tile', ''))
    tags = getattr(picture, 'tag_v2', {})
    if picture.mode in ('I', 'F') or _SIGNED in tags.get(_FORMAT, ()):
        # Old releases of PIL read 16 bits so. Floats of a PFM have no range.
        if picture.mode == 'F' or picture.format not in ('PNG', 'PPM'):
            _refuse_range(picture, tags)
    if picture.mode.startswith('I'):
        grey = np.asarray(picture)
        if ';12' in stored:
            return _repeat(grey >> 4)
        _check_16_bits(int(grey.min()), int(grey.max()))
        grey = grey >> 8
        # PIL inverts white-is-zero pictures only if samples have 8 bits.
        return _repeat(255 - grey if tags.get(_PHOTOMETRIC) == 0 else grey)
    rgb = np.asarray(picture.convert('RGB'))
    # PIL has kept the upper 8 bits; 'BGR;16' is 5, 6 and 5 bits
    if ';16' in stored and 'BGR' not in stored:
        _check_16_bits(int(rgb.min()) << 8, (int(rgb.max()) << 8) + 255)
    return rgb


def _repeat(grey: np.ndarray) -> np.ndarray:
    """Repeat grey levels 0..255, (H, W), to (H, W, 3) uint8."""
    return cv2.cvtColor(grey.astype(np.uint8), cv2.COLOR_GRAY2RGB)


def _check_16_bits(low: int, high: int) -> None:
    """Refuse samples that may have fewer than 16 bits, or lose levels."""
    if high < LEAST_16_BIT_MAXIMUM:
        raise ValueError(
            f'its 16-bit samples reach from {low} to {high} of 65535; '
            'whether it is a dark picture or one of 10, 12 or 14 bits is not '
            f'certain; {_WAY_OUT}')


def _refuse_range(picture: Image.Image, tags: dict) -> None:
    """Raise an error that names the samples without a defined range."""
    samples = np.asarray(picture)
    kinds = tags.get(_FORMAT, (_UNSIGNED, )) if tags else ()
    if _SIGNED in kinds and picture.mode == 'L':
        samples = samples.view(np.int8)
    elif _UNSIGNED in kinds and picture.mode == 'I':
        samples = samples.view(np.uint32)
    kind = 'floating-point' if picture.mode == 'F' else (
        'signed' if samples.min() < 0 or _SIGNED in kinds else '32-bit')
    raise ValueError(
        f'its {kind} samples reach from {samples.min():g} to '
        f'{samples.max():g} and have no defined range; which of them is '
        f'black and which white is not certain; {_WAY_OUT}')
