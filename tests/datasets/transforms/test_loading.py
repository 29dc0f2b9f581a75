"""Every kind of picture file comes out as PIL's convert('RGB') gives it."""
import io
import pickle

import numpy as np
import pytest
from PIL import Image

from caco_ext.datasets import BrokenPictureError, LoadImage, decode_picture
from tests.helpers.picture_files import encode, smooth

RGB = Image.fromarray(smooth())
TURNED = Image.Exif()
TURNED[0x0112] = 6  # to be shown turned by 90 degrees
CASES = {
    'jpeg': encode(RGB, 'JPEG', quality=90),
    'jpeg_444': encode(RGB, 'JPEG', subsampling=0),
    'jpeg_progressive': encode(RGB, 'JPEG', progressive=True),
    'jpeg_grey': encode(RGB.convert('L'), 'JPEG'),
    'jpeg_cmyk': encode(RGB.convert('CMYK'), 'JPEG'),
    'jpeg_turned': encode(RGB, 'JPEG', exif=TURNED),
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


@pytest.mark.parametrize('data, reason', [
    (b'', 'empty'),
    (b'just some text', 'cannot identify'),
    (b'\xff\xd8\xff\xd9', 'picture'),
    (None, 'No such file'),
])
def test_files_that_are_no_pictures(tmp_path, data, reason):
    path = tmp_path / 'picture.jpg'
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(BrokenPictureError, match=reason) as caught:
        LoadImage()(dict(img_path=str(path)))
    assert caught.value.path == str(path)
    clone = pickle.loads(pickle.dumps(caught.value))
    assert str(clone) == str(caught.value)
    assert 'BytesIO' not in str(clone)


def test_keys_and_bytes_from_the_data_set():
    out = LoadImage()(dict(img_path='x.jpg', img_bytes=CASES['jpeg']))
    assert out['img'].shape == (37, 53, 3) and 'img_bytes' not in out
    assert out['img_shape'] == out['ori_shape'] == (37, 53)
