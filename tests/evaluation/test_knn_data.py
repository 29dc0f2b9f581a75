"""Which labelled pictures measure a run."""
import os.path as osp

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image
from torch.utils.data import ConcatDataset, Subset

from caco_ext.evaluation import KNNData, build_feature_loader, compare_pictures
from caco_ext.evaluation.knn_data import leaves, source_of
from caco_ext.utils.config_text import check_config_text
from tests.helpers.toy_algorithm import ToyPictures

BASE = osp.join(
    osp.dirname(__file__),
    '../../configs/selfsup/_base_/datasets/photopatches.py')


@pytest.fixture
def pictures(tmp_path):
    """Two classes of pictures of many sizes."""
    rng = np.random.default_rng(0)
    sizes = ((64, 64), (500, 333), (31, 90), (48, 64), (200, 70))
    for name in 'ab':
        (tmp_path / name).mkdir()
        for i, size in enumerate(sizes):
            pixels = rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f'{i}.png')
    return tmp_path


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmselfsup')


def bundled(split='train', **options):
    return dict(type='PhotoPatches', split=split, **options)


def test_own_pictures_of_different_sizes_become_one_size(pictures):
    """By the pipeline of the config that README's command takes."""
    knn = Config.fromfile(BASE).default_hooks.knn
    for part in (knn.train_dataset, knn.test_dataset):
        part.data_root = str(pictures)
    data = KNNData(knn.train_dataset, knn.test_dataset, k=3)
    train, test = data.parts
    loader = build_feature_loader(
        train.dataset, train.indices, train.labels, num_workers=0)
    batch, = loader
    assert batch['item']['inputs'][0].shape == (8, 3, 64, 64)
    assert data.describe() == dict(
        train=dict(root=str(pictures), pictures=8, classes=2),
        test=dict(root=str(pictures), pictures=2, classes=2))


def test_pictures_as_large_as_the_bundled_stay_bit_equal(pictures):
    steps = Config.fromfile(BASE).knn_pipeline
    loaded = Compose(steps[:1])(dict(img_path=f'{pictures}/a/0.png'))['img']
    made = Compose(steps)(dict(img_path=f'{pictures}/a/0.png',
                               gt_label=0))['inputs'][0]
    assert torch.equal(made, torch.from_numpy(loaded).permute(2, 0, 1))


@pytest.mark.parametrize('workers', [0, 1])
def test_different_sizes_are_named(pictures, workers):
    steps = Config.fromfile(BASE).knn_pipeline
    dataset = DATASETS.build(
        dict(
            type='ImageFolder',
            data_root=str(pictures),
            pipeline=[steps[0], steps[-1]]))
    loader = build_feature_loader(dataset, num_workers=workers)
    with pytest.raises(ValueError, match='sizes, 64x64 and 500x333 pixels'):
        list(loader)


@pytest.mark.slow
def test_bundled_pictures_do_not_measure_own_ones(pictures):
    own = bundled(data_root=str(pictures), pipeline=[])
    training = DATASETS.build(dict(own, split='train'))
    data = KNNData(bundled(), bundled('val'))
    for wrapped in (training, Subset(training, [0]),
                    ConcatDataset([training, ToyPictures()])):
        with pytest.raises(
                ValueError, match=f'train_dataset.*{pictures}.*knn=None'):
            data.check(wrapped)
    # one of both is not enough
    half = KNNData(own, bundled('val'))
    half._parts = [*KNNData(own, own, k=1).parts[:1], data.parts[1]]
    with pytest.raises(ValueError, match='test_dataset of KNNHook is the bun'):
        half.check(ToyPictures())
    assert data.check(DATASETS.build(bundled()))
    # part of what is trained on, and other pictures that are as much one's own
    assert data.check(ConcatDataset([training, DATASETS.build(bundled())]))
    mine = KNNData(own, dict(own, split='val'), k=1)
    assert mine.check(training) and not mine.check(ToyPictures())


@pytest.mark.slow
def test_where_pictures_are(pictures):
    (pictures / 'list.txt').write_text('a/0.png 0\nb/0.png 1\n')
    found = DATASETS.build(
        dict(type='ImageFolder', data_root=str(pictures / 'list.txt')))
    assert source_of(found) == str(pictures / 'list.txt')
    assert source_of(ToyPictures()) == 'ToyPictures'
    both = ConcatDataset([Subset(found, [0]), ToyPictures()])
    assert [source_of(leaf) for leaf in leaves(both)
            ] == [str(pictures / 'list.txt'), 'ToyPictures']


def config(train, test=None, knn=True):
    hook = dict(type='KNNHook', train_dataset=train, test_dataset=test)
    return Config(
        dict(
            train_dataloader=dict(dataset=dict(train, pipeline=[1])),
            default_hooks=dict(knn=hook if knn else None)))


def test_pictures_of_two_configs_are_compared(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    own = config(
        bundled(data_root='mine', pipeline=[1]),
        bundled('val', data_root='mine', pipeline=[1]))
    same = config(
        bundled(data_root=str(tmp_path / 'mine'), ann_file=''),
        dict(
            type='caco_ext.PhotoPatches',
            split='val',
            data_root='mine/',
            _scope_='mmselfsup'))
    assert compare_pictures(own, same) == ''
    base = config(bundled(), bundled('val'))
    found = compare_pictures(own, base)
    assert found.startswith("train_dataset: type='PhotoPatches', "
                            "split='train' in place of type='PhotoPatches'")
    assert f'data_root={str(tmp_path / "mine")!r}' in found
    assert '; test_dataset: ' in found
    other = config(
        bundled(data_root='mine'), bundled('train', data_root='mine'))
    assert compare_pictures(own, other).startswith('test_dataset: ')
    # a run without kNN has the pictures that it was trained on
    assert compare_pictures(config(bundled(), knn=False), base) == ''
    own = config(bundled(data_root='mine'), knn=False)
    assert compare_pictures(own, base).startswith('train_dataset: ')
    assert compare_pictures(own, same) == ''


@pytest.mark.parametrize('text', [
    'import os', 'a = __import__("os")', 'a = dict(b=open("x"))', 'a = b',
    '_base_ = "x.py"', 'dict = 3', 'a[0] = 1', 'a = [x for x in (1, )]',
    'a = f"{1}"', 'a = dict.fromkeys((1, ))', 'a =', 'a = "\0"', 'a: int = 3'
])
def test_config_that_is_more_than_data(text):
    with pytest.raises(ValueError, match='config'):
        check_config_text(text)


def test_config_that_is_data():
    check_config_text(Config.fromfile(BASE).pretty_text)
