"""Read the headers of JPEG and PNG files without a decoder."""
import struct
import zlib
from typing import Optional, Tuple

# Start-of-frame markers of JPEG. C4, C8 and CC have other meanings.
_SOF_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Begins a marker of Adobe's, with a place for the colours.
_ADOBE = b'\xff\xee\0\x0eAdobe'
_PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'


def jpeg_size(data: bytes) -> Optional[Tuple[int, int]]:
    """Size of a JPEG that OpenCV and PIL decode to the same pixels.

    OpenCV fills the missing part of a truncated JPEG with grey and reports no
    error. It also converts CMYK differently from PIL.

    Args:
        data (bytes): The whole file.

    Returns:
        tuple[int, int] | None: Width and height of a complete grey or
        three-channel JPEG of 8 bits, None for anything else.
    """
    if data[:3] != b'\xff\xd8\xff' or data[-2:] != b'\xff\xd9':
        return None
    pos, end = 2, len(data) - 9
    while pos < end and data[pos] == 0xFF:
        marker = data[pos + 1]
        if marker in _SOF_MARKERS:
            bits, height, width, channels = struct.unpack_from(
                '>BHHB', data, pos + 4)
            fits = bits == 8 and channels in (1, 3)
            return (width, height) if fits else None
        if marker == 0xFF:  # fill byte before a marker
            pos += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # has no body
            pos += 2
        else:
            pos += 2 + (data[pos + 2] << 8 | data[pos + 3])
    return None


def is_jpeg_of_rgb(data: bytes) -> bool:
    """Whether a JPEG says that it holds RGB, and not luma and chroma.

    Args:
        data (bytes): A whole JPEG.

    Returns:
        bool: True for a file with Adobe's marker and its colours 0.
    """
    place = data.find(_ADOBE)
    return place >= 0 and data[place + 15:place + 16] == b'\0'


def png_size(data: bytes) -> Optional[Tuple[int, int]]:
    """Size of a PNG that OpenCV may decode, after a check of its chunks.

    OpenCV trusts the lengths and the animation of a PNG. A damaged file may
    end the process or take as much memory as a chunk claims. So OpenCV gets
    only undamaged still pictures. The checksums take 1.5 % of the decoding
    time.

    Args:
        data (bytes): The whole file.

    Returns:
        tuple[int, int] | None: Width and height of a still PNG of up to 8
        bits, None for anything else.

    Raises:
        ValueError: It is a PNG, and one of its chunks is damaged or missing.
    """
    if data[:8] != _PNG_SIGNATURE:
        return None
    view, pos, kind, still = memoryview(data), 8, b'', True
    while kind != b'IEND':
        if pos + 12 > len(data):
            raise ValueError('the file is truncated: its end is missing')
        length, kind = struct.unpack_from('>I4s', data, pos)
        end = pos + 8 + length
        if end + 4 > len(data):
            raise ValueError(
                f'the file is truncated or damaged: its chunk {kind!r} claims '
                f'{length:,} bytes, the file has {len(data):,}')
        if zlib.crc32(view[pos + 4:end]) != int.from_bytes(
                view[end:end + 4], 'big'):
            raise ValueError(f'its chunk {kind!r} is damaged (CRC-32)')
        still = still and kind != b'acTL'
        pos = end + 4
    if data[8:16] != b'\0\0\0\rIHDR':
        raise ValueError("it does not begin with the chunk b'IHDR'")
    width, height, bits = struct.unpack_from('>IIB', data, 16)
    whole = pos == len(data)  # OpenCV must not see bytes after the picture
    return (width, height) if still and whole and bits <= 8 else None
