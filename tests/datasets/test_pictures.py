"""What is certain is read to the level; what is not is refused with why."""
import errno
import io
import os
import re
import resource
import socket
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from caco_ext.datasets import BrokenPictureError, ImageFolder, decode_picture
from caco_ext.datasets import pictures as reader
from caco_ext.datasets import read_picture
from tests.helpers.picture_files import animated, encode, png, smooth, tiff

BANDS = np.random.default_rng(0).integers(
    0, 65536, (20, 20, 13), dtype=np.uint16)
DEEP = (smooth().astype(np.uint16) << 8) + 99


def rgb_of(data, name='x'):
    return decode_picture(data, name)[..., ::-1]


def written(samples, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, samples, **options)
    return file.getvalue()


def deep_png(high):
    """A PNG of three 16-bit channels from 0 to high."""
    samples = (smooth() / 255 * high).astype('>u2')
    samples[0, 0] = high
    rows = b''.join(b'\0' + row.tobytes() for row in samples)
    grey = png(samples.shape[1], samples.shape[0], 16, rows)
    header = bytearray(grey[12:29])
    header[13] = 2  # RGB
    return grey[:12] + header + struct.pack('>I', zlib.crc32(header)) + \
        grey[33:]


UNCERTAIN = {
    'twelve_bits': (written(np.array([[11, 4084]],
                                     np.uint16)), 'from 11 to 4084 of 65535'),
    'fourteen_bits':
    (encode(Image.fromarray(np.array([[0, 16383]], np.uint16)),
            'PNG'), 'from 0 to 16383 of 65535'),
    'twelve_bits_colour': (deep_png(4095), 'from 0 to 4095 of 65535'),
    'ct':
    (written(np.array([[-1000, 2000]],
                      np.int16)), 'signed samples reach from -1000 to 2000'),
    'int8': (written(np.array([[-100, 100]], np.int8)),
             'signed samples reach from -100 to 100'),
    'negative32': (written(np.array([[-5, 100]], np.int32)),
                   'signed samples reach from -5 to 100'),
    'small32': (written(np.array([[5, 60000]], np.int32)),
                'signed samples reach from 5 to 60000'),
    'uint32': (written(np.array([[7, 4294967040]], np.uint32)),
               r'32-bit samples reach from 7 to 4\.29497e\+09'),
    'float': (written(np.array([[-.5, 1.5]], np.float32)),
              r'floating-point samples reach from -0\.5 to 1\.5'),
    'float_of_pil':
    (encode(Image.fromarray(smooth()[..., 0].astype(np.float32)),
            'TIFF'), 'no defined range'),
    'pfm': (b'Pf\n2 1\n-1.0\n' + np.array([.2, .9], '<f4').tobytes(),
            r'floating-point samples reach from 0\.2 to 0\.9'),
    'half': (written(np.zeros((4, 4),
                              np.float16)), '1 band of 16-bit floating-point'),
    'double': (written(np.zeros((4, 4))), '1 band of 64-bit floating-point'),
    'float_colour':
    (written(np.zeros((4, 4, 3), np.float32),
             photometric='rgb'), '3 bands of 32-bit floating-point'),
    'bands_as_pages': (written(BANDS), '20 pages or bands'),
    'bands': (written(BANDS, photometric='minisblack',
                      planarconfig='contig'), '13 bands of 16-bit unsigned'),
    'two_bands': (written(
        np.zeros((4, 4, 2), np.uint8),
        photometric='minisblack',
        planarconfig='contig',
        extrasamples=['unspecified']), '2 bands of 8-bit'),
    'six_bands': (written(
        np.zeros((4, 4, 6), np.uint8),
        photometric='rgb',
        planarconfig='contig',
        extrasamples=['unspecified'] * 3), '6 bands of 8-bit'),
    'stack':
    (written(np.zeros((3, 20, 20), np.uint8),
             photometric='minisblack'), '3 pages or bands'),
}


@pytest.mark.parametrize('name', UNCERTAIN)
def test_uncertain_pictures_are_refused(name, tmp_path):
    data, reason = UNCERTAIN[name]
    path = tmp_path / f'{name}.tif'
    path.write_bytes(data)
    with pytest.raises(BrokenPictureError, match=reason) as caught:
        read_picture(path)
    text = str(caught.value)
    assert text.startswith(f'{path} cannot be read as a picture: ')
    assert re.search('not certain; (convert|save)', text)
    assert '\n' not in text


def pgm(most):
    samples = np.array([0, most // 2 + 1, most], '>u2')
    return b'P5 3 1 %d\n' % most + samples.tobytes()


def bmp565(red, green, blue):
    """One pixel of 5, 6 and 5 bits."""
    header = struct.pack('<IiiHHIIiiII', 40, 1, 1, 1, 16, 3, 4, 0, 0, 0, 0)
    masks = struct.pack('<III', 0xF800, 0x07E0, 0x001F)
    pixel = struct.pack('<HH', red << 11 | green << 5 | blue, 0)
    return (b'BM' + struct.pack('<IHHI', 70, 0, 0, 66) + header + masks +
            pixel)


def grey(*levels):
    return np.repeat(np.array([levels])[..., None], 3, 2)


CERTAIN = {
    'png_colour':
    (deep_png(65535), (smooth() / 255 * 65535).astype(np.uint16) >> 8),
    'colour': (written(DEEP, photometric='rgb'), smooth()),
    'colour_big_endian': (written(DEEP, photometric='rgb',
                                  byteorder='>'), smooth()),
    'big_endian': (written(DEEP[..., 0],
                           byteorder='>'), np.repeat(smooth()[..., :1], 3, 2)),
    'white_is_zero':
    (tiff(2, 1, 16, np.array([0, 60000], '<u2').tobytes(),
          t262=0), grey(255, 21)),
    # the file itself says 12 bits: 0xABC and 0xDEF
    'twelve_bits': (tiff(2, 1, 12, b'\xab\xcd\xef'), grey(0xAB, 0xDE)),
    'pgm': (pgm(4095), grey(0, 128, 255)),
    **{
        f'grey_{kind}': (encode(Image.fromarray(DEEP[..., 0]), kind),
                         np.repeat(smooth()[..., :1], 3, 2))
        for kind in ('PNG', 'TIFF')
    },
    'colour_of_opencv': (cv2.imencode('.png',
                                      DEEP[..., ::-1])[1].tobytes(), smooth()),
    'four_bands': (written(
        np.dstack([smooth(), smooth()[..., 0]]),
        photometric='rgb',
        extrasamples=['unspecified']), smooth()),
    'dark_565': (bmp565(3, 4, 5), np.array([[[24, 16, 41]]])),
}


@pytest.mark.parametrize('name', CERTAIN)
def test_certain_pictures_keep_their_levels(name):
    data, right = CERTAIN[name]
    got = rgb_of(data)
    if name == 'png_colour':
        right[0, 0] = 255
    assert got.dtype == np.uint8 and got.shape == right.shape
    assert np.array_equal(got, right)


def test_a_thumbnail_is_no_page():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(smooth(), photometric='rgb')
        writer.write(smooth(8, 8), photometric='rgb', subfiletype=1)
    assert np.array_equal(rgb_of(file.getvalue()), smooth())


@pytest.mark.parametrize('kind', ['PNG', 'GIF', 'WEBP', 'AVIF'])
def test_the_first_picture_of_an_animation(kind):
    data, _ = animated(kind)
    right = np.asarray(Image.open(io.BytesIO(data)).convert('RGB'))
    assert np.array_equal(rgb_of(data), right)


@pytest.mark.parametrize(
    'kind',
    ['AVIF', 'ICO', 'JPEG2000', 'DDS', 'PCX', 'QOI', 'SGI', 'TGA', 'PPM'])
def test_formats_beyond_the_usual(kind):
    picture = Image.fromarray(smooth(32, 32))
    data = encode(picture, kind)
    right = np.asarray(Image.open(io.BytesIO(data)).convert('RGB'))
    assert np.abs(right.astype(int) - smooth(32, 32)).mean() < 3
    assert np.array_equal(rgb_of(data, f'x.{kind.lower()}'), right)


@pytest.mark.parametrize(
    'data, name',
    [(b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n', 'x.jpg'),
     (encode(Image.fromarray(smooth(32, 32)), 'TGA'), 'x.png'),
     (encode(Image.fromarray(smooth(32, 32)), 'PDF'), 'x.pdf')])
def test_other_programs_are_not_called(data, name):
    """PostScript would go to Ghostscript; TGA is told by its name alone."""
    with pytest.raises(BrokenPictureError, match='cannot identify'):
        decode_picture(data, name)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    'kind',
    ['FIFO', 'directory', 'socket', 'device', 'huge', 'zero byte', 'link'])
def test_what_is_no_file_is_no_picture(kind, tmp_path, monkeypatch):
    path, reason = tmp_path / 'x.jpg', f'it is a {kind}, not a file'
    if kind == 'FIFO':
        os.mkfifo(path)
    elif kind == 'directory':
        path.mkdir()
    elif kind == 'socket':
        monkeypatch.chdir(tmp_path)  # its name may have a hundred letters
        server = socket.socket(socket.AF_UNIX)
        server.bind('x.jpg')
        server.close()
    elif kind == 'device':
        path.symlink_to('/dev/zero')
    elif kind == 'huge':
        with open(path, 'wb') as file:
            file.truncate(reader.MAX_BYTES + 1)
        reason = '1,073,741,825 bytes, more than'
    elif kind == 'link':
        path.symlink_to(path)
        reason = 'Too many levels'
    else:
        path, reason = f'{path}\0', 'null byte'
    with pytest.raises(BrokenPictureError, match=reason) as caught:
        read_picture(path)
    assert str(path) in str(caught.value)


def test_a_name_that_is_not_utf8_can_be_logged(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b'/lat\xe9in.png')
    with open(path, 'wb') as file:
        file.write(png(2, 2))
    assert read_picture(path).shape == (2, 2, 3)
    with open(path, 'wb') as file:
        file.write(png(2, 2)[:-1])
    with pytest.raises(BrokenPictureError, match='lat.udce9in') as caught:
        read_picture(path)
    assert str(caught.value).encode('utf-8')
    assert caught.value.path == path


def test_a_picture_that_nobody_may_read(tmp_path, monkeypatch):

    def forbid(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    path = tmp_path / 'x.png'
    path.write_bytes(png(2, 2))
    monkeypatch.setattr(reader, 'open', forbid, raising=False)
    with pytest.raises(BrokenPictureError, match='Permission denied'):
        read_picture(path)


def test_too_many_open_files_are_no_broken_picture(flat):
    data = ImageFolder(str(flat), pipeline=[dict(type='LoadImage')])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OSError, match='ulimit -n.*num_workers') as caught:
            data[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE
    assert str(flat / '0.png') in str(caught.value)
    assert data.num_broken == 0


@pytest.mark.parametrize('number', [errno.EIO, errno.ESTALE, errno.ENOMEM])
def test_a_failing_storage_is_no_broken_picture(number, flat, monkeypatch):

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(reader, 'open', fail, raising=False)
    data = ImageFolder(str(flat), pipeline=[dict(type='LoadImage')])
    with pytest.raises(OSError, match='not the picture') as caught:
        data[0]
    assert caught.value.errno == number and data.num_broken == 0
