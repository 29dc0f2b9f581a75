"""The same file is the same picture, wherever the package reads it."""
import os.path as osp
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import TRANSFORMS
from PIL import Image

import caco_ext  # noqa: F401
from caco_ext.apis import MEAN, STD, extract_features
from caco_ext.datasets import read_picture
from caco_ext.transfer.voc07_sgd import Crops
from tests.helpers import ROOT
from tests.helpers.picture_files import animated, encode, smooth

CONFIGS = ('selfsup/_base_/datasets/photopatches.py',
           'selfsup/_base_/views/clsa.py',
           'benchmarks/classification/voc07/svm_voc07.py',
           'benchmarks/classification/imagenet/knn_in1k.py',
           'benchmarks/classification/imagenet/'
           'resnet50_linear-8xb32-coslr-100e_in1k.py',
           'benchmarks/classification/places205/'
           'resnet50_linear-8xb32-coslr-100e_places205.py',
           'benchmarks/classification/places205/'
           'resnet50_mhead_8xb32-steplr-28e_places205.py')
RGB = Image.fromarray(smooth(256, 256))
RAMP = np.tile(np.arange(256, dtype=np.uint16) * 257, (256, 1))


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees
    return encode(RGB, 'JPEG', exif=exif)


def palette():
    colours = RGB.quantize(32)
    return encode(colours, 'PNG', transparency=3), colours.convert('RGB')


FILES = {
    # 0, 1, ... 255: every level, none twice
    'grey16.png': (encode(Image.fromarray(RAMP),
                          'PNG'), np.repeat((RAMP >> 8)[..., None], 3, 2)),
    'grey16.tif': (encode(Image.fromarray(RAMP),
                          'TIFF'), np.repeat((RAMP >> 8)[..., None], 3, 2)),
    'cmyk.jpg': (encode(RGB.convert('CMYK'), 'JPEG'), None),
    'palette.png':
    palette(),
    'turned.jpg': (turned(), None),
    'animated.png':
    animated('PNG', 256, 256),
    'animated.gif': (animated('GIF', 256, 256)[0], None),
}


class Pixels(torch.nn.Module):
    """A network whose features are the picture itself."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, images):
        return images.flatten(1)


def through_the_api(image):
    """The middle 224 pixels, as ``extract_features`` sees them."""
    values = extract_features(Pixels(), [image]).view(3, 224, 224)
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    return (values * std + mean).round().permute(1, 2, 0).numpy()


def first_steps(node):
    """The first step of each pipeline in a config, by the key's name."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key.endswith('pipeline') and value:
                yield value[0]
            else:
                yield from first_steps(value)


@pytest.fixture(scope='module')
def steps():
    found = [
        step for name in CONFIGS for step in first_steps(
            Config.fromfile(osp.join(ROOT, 'configs', name)).to_dict())
    ]
    assert len(found) > 2 * len(CONFIGS)
    return [TRANSFORMS.build(step) for step in found]


@pytest.mark.parametrize('name', FILES)
def test_every_door_gives_the_same_picture(name, steps, tmp_path, monkeypatch):
    data, right = FILES[name]
    path = tmp_path / name
    path.write_bytes(data)
    if right is None:
        right = Image.open(path).convert('RGB')
    right = np.asarray(right)
    if name.startswith('grey16'):
        assert len(np.unique(right)) == 256
    assert np.array_equal(read_picture(path), right)
    for step in steps:
        bgr = step(dict(img_path=str(path)))['img']
        assert np.array_equal(bgr[..., ::-1], right), step
    middle = right[16:240, 16:240]
    assert np.array_equal(through_the_api(path), middle)
    with Image.open(path) as picture:
        assert np.array_equal(through_the_api(picture), middle)

    pictures = SimpleNamespace(
        get_data_info=lambda index: dict(img_path=str(path)),
        targets=np.zeros((1, 20)))
    crops, _ = Crops(pictures, lambda picture: picture, [0] * 3, [1] * 3)[0]
    assert np.array_equal(crops[0].permute(1, 2, 0), right)

    monkeypatch.syspath_prepend(osp.join(ROOT, 'tools/analysis_tools'))
    import attention
    file, = attention.find_files([str(tmp_path)], 1)
    assert np.array_equal(attention.read_picture(file), right)


def test_a_picture_without_range_is_refused_by_the_api():
    picture = Image.fromarray(np.array([[-5, 100]], np.int32))
    with pytest.raises(ValueError, match='reach from -5 to 100'):
        extract_features(Pixels(), [picture])
