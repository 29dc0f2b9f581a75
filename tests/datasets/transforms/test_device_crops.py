"""Pictures that the device decodes and crops equal those of the workers."""
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, default_collate
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

from caco_ext.datasets import LoadImage, MultiCrop, photo_patches
from caco_ext.datasets.transforms import device_crops
from tests.helpers.device_counts import on_fake_gpu
from tests.helpers.picture_files import encode, smooth
from tests.helpers.tiny_runs import record, train

PHOTOS = [photo for _, photo in photo_patches.photographs()][:6]
CROP = dict(type='ViewRandomResizedCrop', size=48)
SMALL = dict(type='ViewRandomResizedCrop', size=20, scale=(.05, .2))
STEPS = [dict(type='ViewColorJitter'), dict(type='ViewFlip')]
NORM = dict(mean=(0., ) * 3, std=(1., ) * 3, bgr_to_rgb=True)
ON_DEVICE = dict(NORM, type='AugmentDataPreprocessor')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """JPEGs of several sizes and kinds, and a PNG."""
    path = tmp_path_factory.mktemp('pictures')
    files = {
        'progressive.jpg': encode(PHOTOS[0], 'JPEG', progressive=True),
        'wide.jpg': encode(PHOTOS[1].resize((300, 70)), 'JPEG'),
        'grey.jpg': encode(PHOTOS[2].convert('L').resize((90, 80)), 'JPEG'),
        'full.jpg': encode(PHOTOS[3].resize((64, 64)), 'JPEG', subsampling=0),
        'rgb.jpg': encode(PHOTOS[4].resize((80, 70)), 'JPEG', keep_rgb=True),
        'other.png': encode(PHOTOS[5].resize((70, 90)), 'PNG'),
        'tiny.jpg': encode(Image.fromarray(smooth(5, 9)), 'JPEG'),
    }
    for name, data in files.items():
        (path / name).write_bytes(data)
    return path


def pipeline(on_device, steps):
    init_default_scope('mmselfsup')
    keys = ['img_path'] + ['view_plans', 'img_source'] * on_device
    return [
        dict(type='LoadImage', on_device=on_device),
        dict(
            type='MultiCrop',
            num_views=[2, 1],
            on_device='crop' if on_device else False,
            transforms=[[CROP, steps], [SMALL, steps]]),
        dict(type='mmselfsup.PackSelfSupInputs', meta_keys=keys)
    ]


def batch(folder, on_device, steps=()):
    run = Compose(pipeline(on_device, list(steps)))
    items = []
    for i, path in enumerate(sorted(folder.iterdir())):
        random.seed(i)
        items.append(run(dict(img_path=str(path))))
    return default_collate(items)


def views(folder, on_device, steps=()):
    kind = ON_DEVICE if on_device else dict(NORM, type='ViewDataPreprocessor')
    data = batch(folder, on_device, steps)
    return MODELS.build(kind)(data, True)[0], data


def gaps(folder, monkeypatch=None):
    own, workers = (views(folder, where)[0] for where in (True, False))
    assert [view.shape for view in own] == [view.shape for view in workers]
    return [(a - b).abs() for a, b in zip(own, workers)]


def test_crops_equal_those_of_the_workers(folder):
    for gap in gaps(folder):
        assert gap.max() <= 1 and gap.mean() < .02


def test_a_large_picture_gets_a_canvas_of_its_own(folder, monkeypatch):
    whole = views(folder, True)[0]
    monkeypatch.setattr(device_crops, 'CANVAS_PIXELS', 20000)
    real, sizes = device_crops._canvas, []
    monkeypatch.setattr(device_crops, '_canvas',
                        lambda some: sizes.append(len(some)) or real(some))
    assert all(map(torch.equal, views(folder, True)[0], whole))
    assert len(sizes) > 2 and sum(sizes) == len(list(folder.iterdir()))


def test_steps_act_behind_the_crop(folder):
    # The draws of crops and steps take turns as in the workers.
    own, workers = (views(folder, where, STEPS)[0] for where in (True, False))
    for one, other in zip(own, workers):
        gap = (one - other).abs().mean((1, 2, 3))
        assert gap.mean() < 1.5 and gap.max() < 4
    plain = views(folder, True)[0]
    assert (plain[0] - own[0]).abs().mean() > 10


def test_workers_send_bytes_of_common_jpegs_alone(folder):
    data = views(folder, True)[1]
    assert data['inputs'] == []
    kinds = {
        sample.img_path.rpartition('/')[2]: type(sample.img_source)
        for sample in data['data_samples']
    }
    decoded = {name for name, kind in kinds.items() if kind is np.ndarray}
    assert decoded == {'rgb.jpg', 'other.png'}


def test_cpu_decodes_where_the_device_fails(folder, monkeypatch, said):
    expected = views(folder, True)[0]

    def fail(*args):
        raise RuntimeError('nvjpeg failed: 3\nat some line')

    monkeypatch.setattr(device_crops, 'decode_jpeg', fail)
    assert all(map(torch.equal, views(folder, True)[0], expected))
    assert 'nvjpeg failed: 3; the CPU decodes' in said[-1]
    assert 'some line' not in said[-1]


def test_damage_inside_a_file_is_said_and_grey(monkeypatch, said):
    data = encode(PHOTOS[0], 'JPEG')
    cut = data[:300] + data[-2:]
    picture, other = device_crops.decode([cut, data], ['a.jpg', 'b.jpg'],
                                         torch.device('cpu'))
    assert picture.shape == other.shape == (3, *PHOTOS[0].size[::-1])
    assert (picture == 128).all() and other.float().std() > 10
    assert 'a.jpg' in said[-1] and 'grey picture' in said[-1]


def test_wrong_options_are_refused(folder):
    crop = dict(transforms=[[CROP, *STEPS]], num_views=1)
    path = str(folder / 'wide.jpg')
    with pytest.raises(ValueError, match=r'LoadImage\(on_device=True\)'):
        MultiCrop(**crop, on_device='crop')(LoadImage()(dict(img_path=path)))
    with pytest.raises(ValueError, match="on_device='crop' in MultiCrop"):
        MultiCrop(**crop)(LoadImage(on_device=True)(dict(img_path=path)))
    with pytest.raises(ValueError, match="got 'all'"):
        MultiCrop(**crop, on_device='all')
    with pytest.raises(ValueError, match=r'got \[LoadImage\(.*ViewRandom'):
        MultiCrop([[dict(type='LoadImage'), CROP]], 1, on_device='crop')
    data = batch(folder, True)
    for sample in data['data_samples']:
        sample.set_metainfo(dict(img_source=None))
    with pytest.raises(ValueError, match='img_source.*meta_keys'):
        MODELS.build(ON_DEVICE)(data, True)


def test_a_run_trains_from_files(folder, tmp_path):
    """With the check at the start, a filled bank and loader workers."""
    crop = dict(CROP, size=32)
    steps = pipeline(True, STEPS)
    steps[1].update(num_views=[2], transforms=[[crop, *STEPS]])
    runner = train(
        str(folder),
        tmp_path,
        'CaCo',
        model__data_preprocessor=ON_DEVICE,
        train_dataloader__batch_size=2,
        train_dataloader__num_workers=1,
        train_dataloader__dataset__pipeline=steps)
    assert runner.iter == 6 and len(record(tmp_path)) == 6


def test_crops_wait_for_nothing(monkeypatch):

    def call(_):
        pictures = [
            torch.empty(3, height, 20, dtype=torch.uint8, device='cuda')
            for height in (30, 20)
        ]
        boxes = [[(1, 2, 9, 8), (0, 0, 20, 20)]] * 2
        return device_crops.cut_views(pictures, boxes, [8, 4])

    waits = on_fake_gpu(monkeypatch, torch.nn.Identity, call)
    assert waits.found == [] and waits.copied == 1
