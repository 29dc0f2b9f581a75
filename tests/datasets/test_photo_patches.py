"""The bundled data set: same pictures everywhere, made safely."""
import hashlib
import os
import subprocess
from itertools import product

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from caco_ext.datasets import PhotoPatches, photo_patches
from caco_ext.evaluation.knn import knn_predict
from tests.helpers.warm_python import warm_python


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('CACO_EXT_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


def few(monkeypatch):
    """Fewer crops, for tests that make them again and again."""
    monkeypatch.setattr(photo_patches, 'CROPS', dict(train=3, val=2))


def test_no_pixel_is_shared():
    rng = np.random.default_rng(0)
    for _, photo in photo_patches.photographs():
        boxes = list(photo_patches.crop_boxes(*photo.size, rng))
        train = [box for part, _, box in boxes if part == 'train']
        val = [box for part, _, box in boxes if part == 'val']
        assert (len(train), len(val)) == (150, 40)
        assert max(b[2] for b in train) <= min(b[0] for b in val)
        for box in train:
            assert 0 <= box[0] and 0 <= box[1] and box[3] <= photo.height


@pytest.mark.slow
def test_whole_set(cache):
    pipeline = [dict(type='LoadImage')]
    train = PhotoPatches(pipeline=pipeline)
    val = PhotoPatches(split='val', pipeline=pipeline)
    assert (len(train), len(val)) == (2550, 680)
    assert len(train.metainfo['classes']) == 17
    assert train.metainfo['classes'] == val.metainfo['classes']
    assert train[7]['img'].shape == (64, 64, 3)
    assert {train.get_data_info(i)['gt_label']
            for i in range(2550)} == set(range(17))
    # nearest neighbours on normalised pixels: the measured baseline
    assert 37.9 < pixel_knn(train, val) < 38.9


def pixel_knn(train, val, k=20, temperature=.07):
    """Weighted kNN accuracy in per cent on pixels with ImageNet's scaling."""
    mean = np.array([103.53, 116.28, 123.675])
    std = np.array([57.375, 57.12, 58.395])

    def read(data):
        items = [data[i] for i in range(len(data))]
        x = np.stack([((i['img'] - mean) / std).ravel() for i in items])
        x = x.astype(np.float32)
        return (normalize(torch.from_numpy(x)),
                torch.tensor([i['gt_label'] for i in items]))

    (bank, labels), (query, target) = read(train), read(val)
    best = knn_predict(bank, labels, query, k, temperature, 17)[:, 0]
    return 100 * (best == target).double().mean()


def fingerprint(folder):
    digest = hashlib.sha256()
    for path in sorted(folder.rglob('*.jpg')):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def test_made_once_and_mended(cache, monkeypatch):
    few(monkeypatch)
    folder = photo_patches.prepare_photo_patches()
    first = fingerprint(cache)
    stamp = os.stat(folder).st_mtime_ns
    assert photo_patches.prepare_photo_patches() == folder
    assert os.stat(folder).st_mtime_ns == stamp
    os.remove(os.path.join(folder, 'train', 'moon', '0001.jpg'))
    assert photo_patches.prepare_photo_patches() == folder
    assert fingerprint(cache) == first
    assert os.listdir(os.path.dirname(folder)) == [os.path.basename(folder)]


def test_interrupted_making_is_mended(cache, monkeypatch):
    few(monkeypatch)
    folder = photo_patches.cache_folder()
    parent = os.path.dirname(folder)
    old, new = (os.path.join(parent, f'.making-{n}') for n in ('old', 'new'))
    os.makedirs(old)
    os.makedirs(new)
    os.utime(old, (0, 0))
    os.makedirs(folder)  # an earlier release was killed half way
    assert photo_patches.prepare_photo_patches() == folder
    assert not os.path.exists(old)
    assert os.path.exists(new)  # somebody may be at work in it
    assert len(photo_patches.find_pictures(folder)) == 17 * 5


@pytest.mark.slow
def test_two_processes_at_once(cache):
    code = ('from caco_ext.datasets import photo_patches as p;'
            'p.CROPS = dict(train=3, val=2); p.prepare_photo_patches()')
    makers = [subprocess.Popen([warm_python(), '-c', code]) for _ in '12']
    assert [maker.wait() for maker in makers] == [0, 0]
    (folder, ) = (cache / 'photo_patches').iterdir()
    assert len(list(folder.rglob('*.jpg'))) == 17 * 5


def test_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('CACO_EXT_CACHE', str(tmp_path / 'file'))
    with pytest.raises(RuntimeError, match='(?s)file.*CACO_EXT_CACHE'):
        PhotoPatches()


def test_full_disk(cache, monkeypatch):

    def full(folder):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(photo_patches, 'write_photo_patches', full)
    with pytest.raises(RuntimeError, match='No space left.*CACO_EXT_CACHE'):
        PhotoPatches()
    assert list((cache / 'photo_patches').iterdir()) == []


def test_cache_variables(monkeypatch, tmp_path):
    monkeypatch.delenv('CACO_EXT_CACHE', raising=False)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert photo_patches.cache_folder().startswith(
        str(tmp_path / 'caco_ext' / 'photo_patches' / 'v1-'))


def test_missing_photograph_names_the_release(cache, monkeypatch):
    monkeypatch.setattr(photo_patches, 'SKIMAGE_PHOTOS', ('unicorn', ))
    with pytest.raises(FileNotFoundError, match=r'scikit-image \d.*unicorn'):
        PhotoPatches()


def test_own_folder_instead(labelled, tmp_path, cache):
    own = [PhotoPatches(str(labelled), split=s) for s in ('train', 'val')]
    assert [len(data) for data in own] == [27, 3]
    assert not cache.exists()
    paths = [{d.get_data_info(i)['img_path']
              for i in range(len(d))} for d in own]
    assert all(a != b for a, b in product(*paths))
