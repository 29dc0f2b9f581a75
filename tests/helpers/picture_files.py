"""Picture files of every kind, made in memory."""
import io
import struct
import zlib

import numpy as np
from PIL import Image


def noise(seed, size=(20, 24)):
    """A picture of noise."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))


def smooth(height=37, width=53):
    """A colourful picture without hard edges, (H, W, 3) uint8 RGB."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 4, y * 6, (x + y) * 2], -1).astype(np.uint8)


def encode(picture, kind, **options):
    """The bytes of a file that PIL writes."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(width, height, bits, samples, **tags):
    """An uncompressed little-endian TIFF; tags by number, as t262=0."""
    entries = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 277: 1}
    entries.update({278: height, 279: len(samples)})
    entries.update({int(name[1:]): value for name, value in tags.items()})
    entries[273] = 8 + 2 + 12 * (len(entries) + 1) + 4
    directory = b''.join(
        struct.pack('<HHII', number, 4, 1, value)
        for number, value in sorted(entries.items()))
    return (b'II*\0\x08\0\0\0' + struct.pack('<H', len(entries)) + directory +
            b'\0\0\0\0' + samples)


def png(width, height, bits=8, pixels=b'', extra=b''):
    """A grey PNG; without pixels it is black, however large."""

    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return (struct.pack('>I', len(data)) + kind + data +
                struct.pack('>I', crc))

    pixels = pixels or bytes((1 + (width * bits + 7) // 8) * height)
    header = struct.pack('>IIBBBBB', width, height, bits, 0, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + extra +
            chunk(b'IDAT', zlib.compress(pixels)) + chunk(b'IEND', b''))


def animated(kind='PNG', height=96, width=128):
    """Three pictures of noise, and the first of them."""
    rng = np.random.default_rng(0)
    frames = [
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
        for _ in range(3)
    ]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    return data, np.asarray(frames[0])
