"""Divided data sets: no class is a part, and no test picture is trained on."""
import os
import re
from collections import Counter
from functools import partial

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS

from caco_ext.datasets import image_folder
from caco_ext.datasets.lmdb_writer import LMDBWriter
from caco_ext.datasets.packing import PackSource
from caco_ext.datasets.parts import part_folders, part_of
from caco_ext.evaluation import read_labels, translate_labels
from caco_ext.evaluation.knn_data import count_shared
from caco_ext.transfer.data_check_hook import check_classes
from tests.helpers import ROOT
from tests.helpers.picture_files import noise

# Packing the list of pictures collects garbage, which takes a second here.
ImageFolder = partial(image_folder.ImageFolder, serialize_data=False)
CONFIG = (
    ROOT / 'configs/selfsup/caco' /
    'caco_resnet18_1xb64-sym-coslr-15e_photopatches.py')


@pytest.fixture
def grow(tmp_path):
    """Makes folders, with so many pictures each."""

    def make(**counts):
        for folder, count in counts.items():
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                noise(i, (4, 4)).save(tmp_path / folder / f'{i}.png')
        return str(tmp_path)

    return make


def divided(grow, train, *others):
    """Two classes, three pictures for training, two and one in the others."""
    counts = {f'{train}/{name}': 3 for name in ('red', 'green')}
    for count, other in zip((2, 1), others):
        counts.update({f'{other}/{n}': count for n in ('red', 'green')})
    return grow(**counts)


def taken(root, split='', **options):
    data = ImageFolder(root, split=split, **options)
    assert data.metainfo['classes'] == ('green', 'red')
    return len(data) // 2, os.path.relpath(data.data_root, root)


@pytest.mark.parametrize('name, meaning, others', [
    ('train', 'train', ()),
    ('Training', 'train', ()),
    ('TRAIN2017', 'train', ()),
    ('train_images', 'train', ()),
    ('trainset', 'train', ()),
    ('Validation', 'val', ()),
    ('valid', 'val', ()),
    ('dev-set', 'val', ()),
    ('TestData', 'test', ()),
    ('seg_test', 'test', ('seg', )),
    ('bullet train', 'train', ('bullet', )),
    ('trained', None, ('trained', )),
    ('contest', None, ('contest', )),
    ('train_val', None, ('train', 'val')),
    ('ant', None, ('ant', )),
])
def test_names_of_parts(name, meaning, others):
    found, _, rest = part_of(name)
    assert (found, rest) == (meaning, others)


@pytest.mark.parametrize('train, other', [
    ('train', 'test'),
    ('train', 'valid'),
    ('Train', 'Val'),
    ('training', 'testing'),
    ('TRAIN', 'DEV'),
    ('train2017', 'val2017'),
    ('seg_train', 'seg_test'),
    ('train', 'eval'),
    ('Training Data', 'Testing Data'),
])
def test_parts_are_recognised(grow, said, train, other):
    root = divided(grow, train, other)
    assert taken(root) == taken(root, 'train') == (3, train)
    assert taken(root, 'val') == taken(root, 'test') == (2, other)
    assert taken(root, with_labels=True)[0] == 3
    assert len(said) == 5 and all('is divided into parts' in t for t in said)
    assert repr(os.path.join(root, train)) in said[0] and 'all' in said[0]
    # what only looks for pictures does not mix them either
    data = ImageFolder(root, with_labels=False)
    assert len(data) == 6
    data = ImageFolder(root, split='all')
    assert len(data) == 10 and data.metainfo['classes'] == ()


def test_validation_before_test(grow):
    root = divided(grow, 'train', 'validation', 'test')
    assert taken(root, 'val') == (2, 'validation')
    assert taken(root, 'test') == (1, 'test')


def test_parts_of_other_kinds(grow):
    root = divided(grow, 'Train', 'valid')
    LMDBWriter(PackSource(f'{root}/valid'),
               f'{root}/Test.lmdb').write(quiet=True)
    with open(f'{root}/dev.txt', 'w') as file:
        file.write('valid/red/0.png 0\nvalid/green/0.png 1\n')
    assert taken(root, 'test') == (2, 'Test.lmdb')
    assert taken(root, 'val') == (2, 'valid')
    os.rename(f'{root}/valid', f'{root}/rest')
    with open(f'{root}/dev.txt', 'w') as file:
        file.write('rest/red/0.png 0\n')
    data = ImageFolder(root, split='val')
    assert len(data) == 1 and data.ann_file.endswith('dev.txt')


def test_prefix_chooses_a_part_or_holds_it(grow):
    root = divided(grow, 'a/train', 'a/test')
    assert taken(root, data_prefix='a/test') == (2, '.')
    assert taken(root, 'val', data_prefix='a') == (2, 'a/test')
    os.makedirs(f'{root}/b')
    os.rename(f'{root}/a/train', f'{root}/train')
    os.rename(f'{root}/a/test', f'{root}/test')
    data = ImageFolder(root, split='val', data_prefix='red')
    assert len(data) == 2 and data.data_root == f'{root}/test'


def test_training_part_alone(grow, said):
    root = divided(grow, 'train')
    assert taken(root)[0] == 3
    assert any('for training alone' in text for text in said)
    assert taken(root, 'train', val_share=.3)[0] == 2
    assert taken(root, 'val', val_share=.3)[0] == 1
    with pytest.raises(ValueError, match="no part for split='test'"):
        ImageFolder(root, split='test')


@pytest.mark.parametrize('counts, words', [
    ('test/red', "folder.s. 'test' of"),
    ('val/red test/red', "'test', 'val' of"),
    ('train/red train/green a b', "'train' of"),
    ('train/red extra/red', "'train' of .* the option classes"),
    ('red/train red/test green/train', "red' holds the parts test, train"),
    ('data/train/red data/Valid/red',
     "data' holds the parts Valid, train .*data_root='.*data'"),
])
def test_parts_are_no_classes(grow, counts, words):
    root = grow(**{folder: 1 for folder in counts.split()})
    with pytest.raises(ValueError, match=words):
        ImageFolder(root)
    with pytest.raises(ValueError, match=words):
        LMDBWriter(PackSource(root), f'{root}/a.lmdb')


def test_parts_are_not_mixed_without_labels(grow):
    root = grow(**{'data/train': 2, 'data/test': 1})
    for options in (dict(with_labels=False), {}, dict(split='train')):
        with pytest.raises(ValueError, match="data' holds the parts"):
            ImageFolder(root, **options)
    assert len(ImageFolder(root, split='all')) == 3
    with pytest.raises(ValueError, match='holds the parts train, val'):
        LMDBWriter(
            PackSource(f'{root}/data', with_labels=False), f'{root}/a.lmdb')


def test_several_equal_parts_are_refused(grow):
    root = grow(**{'train2014': 1, 'train2017': 1, 'val2017': 1})
    with pytest.raises(ValueError, match="'train2014' and 'train2017'"):
        ImageFolder(root)
    assert len(ImageFolder(root, split='val')) == 1


def test_classes_that_are_named_are_classes(grow):
    root = grow(train=2, test=1)
    data = ImageFolder(root, classes=['train', 'test'])
    assert data.metainfo['classes'] == ('train', 'test') and len(data) == 3


def test_a_vehicle_is_a_class(grow, said):
    root = grow(bus=1, train=1, tram=1)
    assert ImageFolder(root).metainfo['classes'] == ('bus', 'train', 'tram')
    assert any("train' is taken for a class" in text for text in said)
    assert part_folders(['bus', 'train']) == ['train']
    assert part_folders(['bus', 'tram', 'Test']) == ['Test']


def test_lmdb_file_of_two_parts(grow, monkeypatch):
    root = grow(**{'train/a': 1, 'test/a': 1})
    target = f'{root}/a.lmdb'
    with monkeypatch.context() as patch:  # as releases without the check did
        for name in ('check_classes', 'refuse_parts'):
            patch.setattr(f'caco_ext.datasets.sources.{name}', lambda *_: None)
        patch.setattr('caco_ext.datasets.packing.parts_of',
                      lambda root: {'': root})
        classes = ['test', 'train']
        LMDBWriter(PackSource(root, classes=classes), target).write(quiet=True)
    with pytest.raises(ValueError, match="'test', 'train' of .*a.lmdb"):
        ImageFolder(target)
    assert len(ImageFolder(target, classes=['test', 'train'])) == 2


@pytest.mark.parametrize('above', ['images', 'a/b/images'])
def test_one_folder_too_many(grow, said, above):
    root = grow(**{f'{above}/red': 2, f'{above}/green': 1})
    data = ImageFolder(root)
    assert len(data) == 3
    assert any(f"'{root}/{above}': set data_root to it" in t for t in said)
    with pytest.raises(ValueError, match=f"those of '{root}/{above}'"):
        ImageFolder(root, with_labels=True)
    with pytest.raises(ValueError, match='one class alone.*knn=None'):
        translate_labels(data, read_labels(data), data, read_labels(data))


def test_one_class_alone(grow, said):
    data = ImageFolder(grow(red=2), with_labels=True)
    assert len(data) == 2
    assert any("one class folder alone, 'red'" in text for text in said)


def test_command_for_own_labelled_pictures(grow):
    """All three data sets of the README's command have one root."""
    root = divided(grow, 'train', 'test')
    cfg = Config.fromfile(CONFIG)
    knn = cfg.default_hooks.knn
    sizes = {}
    for name, options in dict(
            trained=cfg.train_dataloader.dataset,
            bank=knn.train_dataset,
            query=knn.test_dataset).items():
        options.update(data_root=root, pipeline=[], serialize_data=False)
        data = DATASETS.build(options)
        sizes[name] = os.path.basename(data.data_root), len(data)
        assert data.metainfo['classes'] == ('green', 'red')
    assert sizes == dict(
        trained=('train', 6), bank=('train', 6), query=('test', 4))


def test_folders_of_the_hosts_are_looked_at(grow):
    root = divided(grow, 'train', 'test')
    data = DATASETS.build(
        dict(type='mmcls.CustomDataset', data_prefix=root, pipeline=[]))
    assert Counter(data.get_gt_labels().tolist()) == {0: 4, 1: 6}
    with pytest.raises(ValueError, match='the folders test, train for cla'):
        check_classes(data, [('head', 2)], 'train_dataloader')


def test_folders_of_the_same_names_in_all_classes(grow, said):
    """Parts in another language look so."""
    counts = {f'{a}/{b}': 1 for a in ('prueba', 'tren') for b in ('x', 'y')}
    root = grow(**counts)
    ImageFolder(root).full_init()
    assert len(said) == 1
    assert re.search(r'\(prueba, tren\) all hold the folders x, y; ', said[0])
    grow(**{'tren/z': 1})
    ImageFolder(root).full_init()
    assert len(said) == 1


def test_part_whose_disk_is_not_there(grow, tmp_path):
    root = grow(**{'train/red': 2, 'train/green': 2})
    os.symlink(tmp_path / 'unmounted', tmp_path / 'val')
    with pytest.raises(FileNotFoundError, match="/val' does not exist"):
        ImageFolder(root, split='val')


def test_a_part_that_is_named_itself_is_measured_whole(grow):
    """A user who names `test` means all of it, and not a tenth."""
    root = divided(grow, 'train', 'test')
    test, train = (os.path.join(root, name) for name in ('test', 'train'))
    for split in ('val', 'test'):
        assert len(ImageFolder(test, split=split)) == 4
    assert len(ImageFolder(train, split='val')) == 2  # a tenth of each class
    assert len(ImageFolder(train, split='train')) == 4
    with pytest.raises(ValueError, match="no part for split='test'"):
        ImageFolder(train, split='test')
    shared = [
        count_shared(*(ImageFolder(path, split=split) for path, split in both))
        for both in (((root, 'train'), (root, 'val')), ((train, 'train'),
                                                        (test, 'val')),
                     ((train, 'train'), (train, 'val')), ((test, 'train'),
                                                          (test, 'val')))
    ]
    assert shared == [0, 0, 0, 2]
