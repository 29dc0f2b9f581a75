"""Every kind of picture file comes out as PIL's convert('RGB') gives it."""
import io
import pickle

import cv2
import numpy as np
import pytest
from PIL import Image

from caco_ext.datasets import BrokenPictureError, LoadImage, decode_picture
from tests.helpers.picture_files import encode, smooth

RGB = Image.fromarray(smooth())
CASES = {
    'jpeg': encode(RGB, 'JPEG', quality=90),
    'jpeg_444': encode(RGB, 'JPEG', subsampling=0),
    'jpeg_progressive': encode(RGB, 'JPEG', progressive=True),
    'jpeg_grey': encode(RGB.convert('L'), 'JPEG'),
    'jpeg_cmyk': encode(RGB.convert('CMYK'), 'JPEG'),
    'jpeg_trailing': encode(RGB, 'JPEG') + b'\0\0garbage',
    'png': encode(RGB, 'PNG'),
    'png_grey': encode(RGB.convert('L'), 'PNG'),
    'png_bilevel': encode(RGB.convert('1'), 'PNG'),
    'png_palette': encode(RGB.quantize(32), 'PNG'),
    'png_palette_alpha': encode(RGB.quantize(32), 'PNG', transparency=3),
    'bmp': encode(RGB, 'BMP'),
    'webp': encode(RGB, 'WEBP'),
    'tiff': encode(RGB, 'TIFF'),
    'gif': encode(RGB, 'GIF'),
}
for mode in ('RGBA', 'LA'):
    with_alpha = RGB.convert(mode)
    with_alpha.putalpha(Image.fromarray(smooth()[..., 2]))
    CASES[f'png_{mode}'] = encode(with_alpha, 'PNG')


@pytest.mark.parametrize('name', CASES)
def test_equals_pil(name):
    expected = np.asarray(Image.open(io.BytesIO(CASES[name])).convert('RGB'))
    img = decode_picture(CASES[name])
    assert img.dtype == np.uint8 and img.flags.c_contiguous
    assert np.array_equal(img[..., ::-1], expected)


@pytest.mark.parametrize('kind', ['PNG', 'TIFF'])
def test_16_bit_grey_is_scaled_not_clipped(kind):
    deep = (smooth()[..., 0].astype(np.uint16) << 8) + 99
    img = decode_picture(encode(Image.fromarray(deep), kind))
    assert np.array_equal(img, np.repeat(smooth()[..., :1], 3, 2))


def test_16_bit_colour_is_scaled():
    deep = (smooth().astype(np.uint16) << 8) + 99
    _, data = cv2.imencode('.png', deep[..., ::-1])
    assert np.array_equal(decode_picture(data.tobytes())[..., ::-1], smooth())


def test_float_samples_are_refused():
    picture = Image.fromarray(smooth()[..., 0].astype(np.float32))
    with pytest.raises(BrokenPictureError, match='no defined range'):
        decode_picture(encode(picture, 'TIFF'))


def test_exif_orientation_is_ignored():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    img = decode_picture(encode(RGB, 'JPEG', exif=exif))
    assert img.shape == (37, 53, 3)


@pytest.mark.parametrize('kind, options', [
    ('JPEG', {}),
    ('JPEG', dict(progressive=True)),
    ('PNG', {}),
    ('WEBP', {}),
])
@pytest.mark.parametrize('share', [.2, .6, .97])
def test_truncated_files_are_broken(kind, options, share):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), kind, **options)
    with pytest.raises(BrokenPictureError, match='some/where'):
        decode_picture(data[:int(len(data) * share)], 'some/where')


def test_damaged_png_is_broken():
    data = bytearray(encode(Image.fromarray(smooth(200, 300)), 'PNG'))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(BrokenPictureError):
        decode_picture(bytes(data))


@pytest.mark.parametrize('data, reason', [
    (b'', 'empty'),
    (b'just some text', 'cannot identify'),
    (b'\xff\xd8\xff\xd9', 'picture'),
])
def test_files_that_are_no_pictures(tmp_path, data, reason):
    path = tmp_path / 'picture.jpg'
    path.write_bytes(data)
    with pytest.raises(BrokenPictureError, match=reason) as caught:
        LoadImage()(dict(img_path=str(path)))
    assert caught.value.path == str(path)
    clone = pickle.loads(pickle.dumps(caught.value))
    assert str(clone) == str(caught.value)
    assert 'BytesIO' not in str(clone)


def test_missing_file_is_broken(tmp_path):
    with pytest.raises(BrokenPictureError, match='No such file'):
        LoadImage()(dict(img_path=str(tmp_path / 'none.jpg')))


def test_keys_and_bytes_from_the_data_set():
    out = LoadImage()(dict(img_path='x.jpg', img_bytes=CASES['jpeg']))
    assert out['img'].shape == (37, 53, 3) and 'img_bytes' not in out
    assert out['img_shape'] == out['ori_shape'] == (37, 53)
