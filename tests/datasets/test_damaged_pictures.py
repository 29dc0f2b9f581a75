"""No damaged file ends the process or takes its memory."""
import io
import multiprocessing
import resource
import struct
import traceback
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from caco_ext.datasets import (BrokenPictureError, decode_picture, pictures,
                               read_picture)
from tests.helpers.picture_files import animated, encode, png, smooth

RGB = Image.fromarray(smooth(48, 64))
BITS = RGB.convert('1')
FORMATS = {
    'jpg': encode(RGB, 'JPEG'),
    'progressive.jpg': encode(RGB, 'JPEG', progressive=True),
    'cmyk.jpg': encode(RGB.convert('CMYK'), 'JPEG'),
    'png': encode(RGB, 'PNG'),
    'palette.png': encode(RGB.quantize(32), 'PNG'),
    'bmp': encode(RGB, 'BMP'),
    'gif': encode(RGB, 'GIF'),
    'webp': encode(RGB, 'WEBP'),
    'lossless.webp': encode(RGB, 'WEBP', lossless=True),
    'avif': encode(RGB, 'AVIF'),
    'jp2': encode(RGB, 'JPEG2000'),
    'tif': encode(RGB, 'TIFF'),
    'lzw.tif': encode(RGB, 'TIFF', compression='tiff_lzw'),
    'deflate.tif': encode(RGB, 'TIFF', compression='tiff_deflate'),
    'fax.tif': encode(BITS, 'TIFF', compression='group4'),
    'tga': encode(RGB, 'TGA', compression='tga_rle'),
    'sgi': encode(RGB, 'SGI'),
    'pcx': encode(RGB, 'PCX'),
    'ppm': encode(RGB, 'PPM'),
    'ico': encode(RGB, 'ICO'),
    'dds': encode(RGB, 'DDS'),
    'qoi': encode(RGB, 'QOI'),
    'animated.webp': animated('WEBP', 24, 32)[0],
}
FLIPS = 24


def flipped(data, rng, places):
    """Copies of a file with one byte changed in each."""
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= int(rng.integers(1, 256))
        yield bytes(damaged)


def damaged_files():
    """Names and contents: headers are hit as often as the rest."""
    rng = np.random.default_rng(0)
    for name, data in FORMATS.items():
        places = [*rng.integers(0, min(len(data), 100), FLIPS // 2)]
        places += [*rng.integers(0, len(data), FLIPS // 2)]
        for number, one in enumerate(flipped(data, rng, places)):
            yield f'{number}.{name}', one
    data, _ = animated()
    for number, one in enumerate(flipped(data, rng, range(8, len(data), 997))):
        yield f'animated_{number}.png', one


def allow(megabytes):
    """Let this process take only so much more memory."""
    with open('/proc/self/statm', encoding='ascii') as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    limit = used + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def in_child(work, *args):
    """Run in a forked process, and give its lines; they end with 'done'."""

    def run(pipe):
        cv2.setNumThreads(0)
        try:
            for line in work(*args):
                pipe.send(line)
            pipe.send('done')
        except BaseException:
            pipe.send(traceback.format_exc())

    context = multiprocessing.get_context('fork')
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=run, args=(theirs, ))
    child.start()
    theirs.close()
    lines = []
    try:
        while True:
            lines.append(ours.recv())
    except EOFError:
        child.join()
    assert child.exitcode == 0 and lines[-1] == 'done', (child.exitcode,
                                                         lines[-1:])
    return lines[:-1]


def outcomes(files, megabytes):
    """Decode each; name it before, so that the last name is the guilty."""
    pictures.MAX_PIXELS = 4_000_000
    allow(megabytes)
    for name, data in files:
        yield name
        try:
            img = decode_picture(data, name)
        except BrokenPictureError as error:
            assert error.path == name and error.reason
            yield f'broken: {error.reason}'
        else:
            assert img.dtype == np.uint8 and img.shape[2:] == (3, )
            yield 'read'


@pytest.mark.timeout(120)
def test_one_byte_wrong_ends_no_process():
    files = list(damaged_files())
    assert len(files) > 600
    lines = in_child(outcomes, files, 512)
    assert lines[::2] == [name for name, _ in files]
    ends = dict(zip(lines[::2], lines[1::2]))
    # a flip in the pixels of a BMP makes another picture; the header does not
    assert 100 < sum(end == 'read' for end in ends.values()) < 500
    # every byte of a PNG is under a checksum
    assert all(end != 'read' for name, end in ends.items()
               if name.endswith('png'))


def ico(nested):
    """An icon of 16 x 16 pixels, says its directory."""
    return struct.pack('<HHHBBBBHHII', 0, 1, 1, 16, 16, 0, 0, 1, 32,
                       len(nested), 22) + nested


def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack(
        '>I', zlib.crc32(kind + data))


def bombs():
    large = zlib.compress(bytes(1 << 28), 9)
    canvas = bytearray(animated('WEBP', 24, 32)[0])
    canvas[24:30] = (12999).to_bytes(3, 'little') * 2
    screen, frame = bytearray(FORMATS['gif']), bytearray(FORMATS['gif'])
    screen[6:10] = struct.pack('<HH', 65535, 65535)
    place = frame.index(b',\0\0\0\0')
    frame[place + 5:place + 9] = struct.pack('<HH', 13000, 13000)
    frame_header = bytearray(FORMATS['jpg'])
    place = frame_header.index(b'\xff\xc0')
    frame_header[place + 5:place + 9] = struct.pack('>HH', 65500, 65500)
    black = png(8000, 8000, 1)
    return {
        'bits.png': black,
        'claim.png': png(60000, 60000, pixels=b'\0'),
        'deep.png': png(3000, 3000, 16),
        'icon.ico': ico(black),
        'canvas.webp': bytes(canvas),
        'screen.gif': bytes(screen),
        'frame.gif': bytes(frame),
        'frame.jpg': bytes(frame_header),
        'x.ppm': b'P5 60000 60000 255\n',
        'x.qoi': b'qoif' + struct.pack('>IIBB', 60000, 60000, 3, 0),
        'profile.png': png(8, 8, extra=chunk(b'iCCP', b'x\0\0' + large)),
        'text.png': png(8, 8, extra=chunk(b'zTXt', b'x\0\0' + large)),
    }


def test_bombs_are_refused_before_they_take_memory():
    files = list(bombs().items())
    assert all(len(data) < 1_000_000 for _, data in files)
    lines = in_child(outcomes, files, 200)
    ends = dict(zip(lines[::2], lines[1::2]))
    for name, end in ends.items():
        if name in ('profile.png', 'text.png'):
            assert end == 'read'  # what belongs to no pixel is left packed
        else:
            # libwebp is refused the memory before PIL knows the size
            wanted = 'decoder' if name == 'canvas.webp' else 'pixels'
            assert wanted in end, (name, end)


def claims_a_gigabyte():
    data = bytearray(png(20, 20))
    data[data.index(b'IDAT') - 4] ^= 0x40
    return bytes(data)


def wrong_sum():
    data = bytearray(png(20, 20))
    data[data.index(b'IDAT') + 8] ^= 1
    return bytes(data)


@pytest.mark.parametrize(
    'data, reason', [
        (claims_a_gigabyte(), r"chunk b'IDAT' claims 1,073,741,\d+ bytes"),
        (wrong_sum(), r"chunk b'IDAT' is damaged \(CRC-32\)"),
        (png(20, 20)[:-12], 'truncated'),
        (png(20, 20)[:8] + chunk(b'IEND', b''), 'does not begin'),
    ],
    ids=['claim', 'sum', 'cut', 'order'])
def test_damaged_pngs_say_where(data, reason, tmp_path):
    path = tmp_path / 'x.png'
    path.write_bytes(data)
    with pytest.raises(BrokenPictureError, match=reason) as caught:
        read_picture(path)
    assert caught.value.path == str(path)


def test_opencv_gets_still_and_whole_pngs_alone(monkeypatch):

    def refuse(*_):
        raise AssertionError('given to OpenCV')

    still = encode(RGB, 'PNG')
    moving, first = animated()
    monkeypatch.setattr(pictures.cv2, 'imdecode', refuse)
    assert np.array_equal(decode_picture(moving)[..., ::-1], first)
    for data in (still + b'\0', encode(Image.open(io.BytesIO(still)), 'BMP')):
        assert np.array_equal(decode_picture(data)[..., ::-1], smooth(48, 64))
    with pytest.raises(BrokenPictureError, match='given to OpenCV'):
        decode_picture(still)
