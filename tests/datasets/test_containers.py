"""Shards of tar and Parquet files, and torchvision's data sets."""
import io
import json
import os
import pickle
import shutil
import tarfile
from copy import deepcopy

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet
from torch.utils.data import DataLoader
from torchvision import datasets as tv

from caco_ext.datasets import ImageFolder, TorchvisionDataset
from caco_ext.utils.extras import MissingExtraError

pytestmark = pytest.mark.usefixtures('cache')

LOAD = [dict(type='LoadImage')]


def picture(value, size=(9, 7)):
    """A PNG file of one grey."""
    out = io.BytesIO()
    Image.new('RGB', size, (value, value, value)).save(out, 'png')
    return out.getvalue()


def write_tar(path, members):
    with tarfile.open(path, 'w') as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return str(path)


def samples(numbers, label=lambda i: ('cls', str(i % 3).encode())):
    for i in numbers:
        yield f'{i:04d}.png', picture(i)
        if label(i):
            field, data = label(i)
            yield f'{i:04d}.{field}', data


def write_parquet(path, values, label=None, names=None, column='image'):
    """Rows of {'bytes', 'path'}, as ``datasets`` writes them."""
    rows = pa.array([dict(bytes=v, path=None) for v in values],
                    pa.struct([('bytes', pa.binary()), ('path', pa.string())]))
    arrays = {column: rows}
    if label is not None:
        arrays['label'] = pa.array(label)
    table = pa.table(arrays)
    if names:
        features = dict(label=dict(names=names, _type='ClassLabel'))
        about = json.dumps(dict(info=dict(features=features)))
        table = table.replace_schema_metadata(dict(huggingface=about))
    parquet.write_table(table, path, row_group_size=4)
    return str(path)


def greys(data):
    return [int(data[i]['img'][0, 0, 0]) for i in range(len(data))]


def labels(data):
    return [data.get_data_info(i)['gt_label'] for i in range(len(data))]


@pytest.fixture
def shards(tmp_path):
    """Twelve pictures in three shards for training, four for measuring."""
    root = tmp_path / 'a set'
    root.mkdir()
    for shard in range(3):
        write_tar(root / f'train-{shard:06d}.tar',
                  samples(range(4 * shard, 4 * shard + 4)))
    write_tar(root / 'val-000000.tar', samples(range(100, 104)))
    return root


def test_tar_shards(shards):
    data = ImageFolder(str(shards), split='train', pipeline=LOAD)
    assert greys(data) == list(range(12))
    assert labels(data) == [i % 3 for i in range(12)]
    assert data.metainfo['classes'] == ('0', '1', '2')
    assert greys(ImageFolder(str(shards), split='test',
                             pipeline=LOAD)) == [100, 101, 102, 103]
    assert len(ImageFolder(str(shards), split='all')) == 16
    for root in ('train-{000000..000001}.tar', 'train-00000[01].tar'):
        assert greys(ImageFolder(f'{shards}/{root}',
                                 pipeline=LOAD)) == list(range(8))
    one = ImageFolder(f'{shards}/train-000002.tar', pipeline=LOAD)
    assert greys(one) == [8, 9, 10, 11]


def test_tar_index_is_made_once_and_again_after_a_change(shards, monkeypatch):
    root = f'{shards}/train-*.tar'
    assert len(ImageFolder(root)) == 12
    made = sorted(p.name for p in shards.glob('*.npz'))
    assert made == [f'train-{i:06d}.tar.index.npz' for i in range(3)]
    with monkeypatch.context() as patch:
        patch.setattr('caco_ext.datasets.containers.tar_source.index_shard',
                      lambda *_: pytest.fail('looked through again'))
        assert len(ImageFolder(root)) == 12
    write_tar(shards / 'train-000001.tar', samples(range(50, 57)))
    data = ImageFolder(root, pipeline=LOAD)
    assert greys(data)[4:11] == list(range(50, 57))
    # a damaged index is made again
    (shards / made[0]).write_bytes(b'nothing')
    assert len(ImageFolder(root)) == 15


def test_tar_index_goes_to_the_cache_of_a_read_only_folder(shards, cache):
    shards.chmod(0o555)
    assert len(ImageFolder(str(shards), split='train')) == 12
    assert len(list(cache.glob('shards/*.npz'))) == 3
    assert not list(shards.glob('*.npz'))


@pytest.mark.parametrize('label, classes, wanted', [
    (lambda i: ('cls', b'%d\n' %
                (10 * i)), ('0', '10', '20', '30'), [0, 1, 2, 3]),
    (lambda i: ('json', json.dumps(dict(label='bc'[i % 2])).encode()),
     ('b', 'c'), [0, 1, 0, 1]),
    (lambda i: ('txt', b'dog' if i else b'cat'), ('cat', 'dog'), [0, 1, 1, 1]),
    (lambda i: ('txt', b'a picture of %d' % i), (), [-1] * 4),
    (lambda i: None, (), [-1] * 4),
])
def test_labels_of_tar_shards(tmp_path, label, classes, wanted):
    path = write_tar(tmp_path / 'a-0.tar', samples(range(4), label))
    data = ImageFolder(path)
    assert data.metainfo['classes'] == classes and labels(data) == wanted
    assert labels(ImageFolder(path, with_labels=False)) == [-1] * 4


def test_folders_in_a_tar_file_are_classes(tmp_path):
    path = write_tar(tmp_path / 'a.tar',
                     [(f'./set/{name}/1.png', picture(i))
                      for i, name in enumerate(('bee', 'ant'))])
    data = ImageFolder(path, pipeline=LOAD)
    assert data.metainfo['classes'] == ('ant', 'bee')
    assert labels(data) == [1, 0] and greys(data) == [0, 1]


@pytest.mark.parametrize('change, message', [
    (lambda p: p.write_bytes(p.read_bytes()[:5000]), 'no whole tar file'),
    (lambda p: p.write_bytes(p.read_bytes()[:2048]), 'without an end mark'),
    (lambda p: p.write_bytes(b'\x1f\x8b' + bytes(2000)), 'unpack it'),
    (lambda p: write_tar(p, [*samples([1]), *samples([1])]),
     "'0001.png' twice"),
    (lambda p: write_tar(p, [('1.png', b''),
                             ('1.jpg', b'')]), 'several pictures'),
    (lambda p: write_tar(p, [('1.cls', b'3')]), 'holds no pictures'),
    (lambda p: write_tar(p, samples(range(4), lambda i: i and ('cls', b'1'))),
     '1 of the 4 pictures.*no label'),
    (lambda p: write_tar(p, samples(range(2), lambda i: ('json', b'{'))),
     "'0000.json'.*no JSON file"),
])
def test_bad_tar_shards(tmp_path, change, message):
    path = tmp_path / 'train-0.tar'
    write_tar(path, samples(range(4)))
    change(path)
    with pytest.raises(ValueError, match=message) as error:
        ImageFolder(str(path))
    assert str(path) in str(error.value)
    assert not list(tmp_path.glob('.*'))


def test_a_prefix_is_refused(shards):
    """It would be left out, and the training part measured for 'val'."""
    with pytest.raises(ValueError, match="data_prefix='val' means nothing"):
        ImageFolder(f'{shards}/train-*.tar', data_prefix='val')
    assert len(ImageFolder(str(shards.parent), data_prefix=shards.name)) == 12


def test_missing_shards(shards):
    with pytest.raises(FileNotFoundError, match='4 files, and 1 are missing'):
        ImageFolder(f'{shards}/train-{{000000..000003}}.tar')
    with pytest.raises(FileNotFoundError, match='no file fits'):
        ImageFolder(f'{shards}/test-*.tar')
    with pytest.raises(ValueError, match='several data sets.*a-.*b-'):
        write_tar(shards / 'a-0.tar', samples([1]))
        write_tar(shards / 'b-0.tar', samples([1]))
        for part in shards.glob('[tv]*.tar'):
            part.unlink()
        ImageFolder(str(shards))


def test_a_broken_picture_in_a_shard_is_replaced(tmp_path):
    members = list(samples(range(30)))
    members[0] = (members[0][0], b'no picture')
    data = ImageFolder(write_tar(tmp_path / 'a-0.tar', members), pipeline=LOAD)
    assert greys(data)[1:] == list(range(1, 30)) and data.num_broken == 1


@pytest.fixture
def parquets(tmp_path):
    """As a data set of Hugging Face lies in its repository."""
    folder = tmp_path / 'hub' / 'data'
    folder.mkdir(parents=True)
    (tmp_path / 'hub' / 'README.md').touch()
    for i in range(2):
        numbers = range(5 * i, 5 * i + 5)
        write_parquet(folder / f'train-0000{i}-of-00002.parquet',
                      [picture(n) for n in numbers], [n % 2 for n in numbers],
                      ['even', 'odd'])
    write_parquet(folder / 'test-00000-of-00001.parquet',
                  [picture(n) for n in (100, 101)], [0, 1], ['even', 'odd'])
    return tmp_path / 'hub'


def test_parquet(parquets, cache):
    data = ImageFolder(str(parquets), pipeline=LOAD)
    assert greys(data) == list(range(10))
    assert labels(data) == [i % 2 for i in range(10)]
    assert data.metainfo['classes'] == ('even', 'odd')
    test = ImageFolder(str(parquets), split='val', pipeline=LOAD)
    assert greys(test) == [100, 101]
    assert len(list(cache.glob('shards/*.arrow'))) == 3
    odd = ImageFolder(str(parquets), classes=['odd'], pipeline=LOAD)
    assert greys(odd) == [1, 3, 5, 7, 9] and set(labels(odd)) == {0}


def test_parquet_is_copied_again_after_a_change(parquets, cache):
    path = parquets / 'data/test-00000-of-00001.parquet'
    assert len(ImageFolder(str(path))) == 2
    write_parquet(path, [picture(n) for n in range(40, 43)])
    assert greys(ImageFolder(str(path), pipeline=LOAD)) == [40, 41, 42]
    copy, = cache.glob('shards/*.arrow')
    copy.write_bytes(copy.read_bytes()[:100])
    assert len(ImageFolder(str(path))) == 3


@pytest.mark.parametrize('stream', [False, True])
def test_arrow_files_are_read_where_they_are(tmp_path, cache, stream):
    table = pa.table(dict(img=[picture(i) for i in range(3)], cls=[7, 9, 7]))
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with make(str(tmp_path / 'a.arrow'), table.schema) as writer:
        writer.write_table(table)
    data = ImageFolder(str(tmp_path / 'a.arrow'), pipeline=LOAD)
    assert greys(data) == [0, 1, 2] and labels(data) == [0, 1, 0]
    assert data.metainfo['classes'] == ('7', '9') and not os.listdir(cache)


def test_bad_parquet(tmp_path, cache):
    path = tmp_path / 'a-0.parquet'
    parquet.write_table(pa.table(dict(text=['a'], label=[1])), path)
    with pytest.raises(ValueError, match='no column of pictures.*text, label'):
        ImageFolder(str(path))
    write_parquet(tmp_path / 'a-1.parquet', [picture(1)], [0])
    write_parquet(path, [picture(1)], column='img')
    with pytest.raises(ValueError, match='different columns.*img, no label'):
        ImageFolder(f'{tmp_path}/a-*.parquet')
    data = path.read_bytes()
    path.write_bytes(data[:len(data) // 2])
    with pytest.raises(ValueError, match='a-0.parquet.*no whole Parquet'):
        ImageFolder(str(path))
    path.write_bytes(b'')
    with pytest.raises(ValueError, match='a-0.parquet.*no whole Parquet'):
        ImageFolder(str(path))
    assert not list(cache.glob('shards/*a-0*'))
    write_parquet(path, [picture(1)], [0], ['a'])
    with pytest.raises(ValueError, match='1 of the 2 names.*none of them'):
        ImageFolder(str(path), classes=['a', 'b'])


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['tar', 'parquet'])
@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_workers_copies_and_pickles(shards, parquets, kind, method):
    root = dict(tar=shards, parquet=parquets)[kind]
    data = ImageFolder(str(root), split='train', pipeline=LOAD)
    wanted = greys(data)
    loader = DataLoader(
        data,
        num_workers=2,
        multiprocessing_context=method,
        collate_fn=collate)
    assert [value for batch in loader for value in batch] == wanted
    if method == 'fork':
        for other in (deepcopy(data), pickle.loads(pickle.dumps(data))):
            assert greys(other) == wanted
        assert greys(data.get_subset([2, 5])) == [wanted[2], wanted[5]]


def collate(items):
    return [int(one['img'][0, 0, 0]) for one in items]


def test_addresses_are_read_through_fsspec(shards, monkeypatch):
    memory = fsspec.filesystem('memory')
    for path in shards.glob('train-*.tar'):
        memory.pipe(f'/bucket/{path.name}', path.read_bytes())
    data = ImageFolder(
        'memory://bucket/train-{000000..000002}.tar', pipeline=LOAD)
    assert greys(data) == list(range(12))
    monkeypatch.setitem(os.sys.modules, 'fsspec', None)
    with pytest.raises(MissingExtraError, match=r'caco_ext\[data\]'):
        ImageFolder('memory://bucket/train-000000.tar')


class Hub:
    """The two functions of ``datasets`` that are used, for a folder."""

    def __init__(self, folder):
        self.folder = folder

    def get_dataset_split_names(self, name, configuration):
        if name != 'someone/set':
            raise ValueError(f'no data set {name}')
        return ['train', 'validation']

    def load_dataset(self, name, configuration, split):
        assert configuration == 'small'
        self.cache_files = [dict(filename=f'{self.folder}/{split}.arrow')]
        return self


def test_hub(tmp_path, monkeypatch):
    for part, first in (('train', 0), ('validation', 50)):
        table = pa.table(
            dict(
                image=[picture(first + i) for i in range(3)], label=[0, 1, 0]))
        with pa.ipc.new_stream(str(tmp_path / f'{part}.arrow'),
                               table.schema) as writer:
            writer.write_table(table)
    monkeypatch.setitem(os.sys.modules, 'datasets', Hub(tmp_path))
    root = 'hf:someone/set:small'
    data = ImageFolder(root, pipeline=LOAD)
    assert greys(data) == [0, 1, 2] and labels(data) == [0, 1, 0]
    assert greys(pickle.loads(pickle.dumps(data))) == [0, 1, 2]
    assert greys(ImageFolder(root, split='test',
                             pipeline=LOAD)) == [50, 51, 52]
    with pytest.raises(FileNotFoundError, match='hf:other.*no data set other'):
        ImageFolder('hf:other')
    monkeypatch.setitem(os.sys.modules, 'datasets', None)
    with pytest.raises(MissingExtraError, match=r'caco_ext\[hub\]'):
        ImageFolder(root)


def write(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture(value))


@pytest.fixture
def imagenette(tmp_path):
    for part, value in (('train', 10), ('val', 20)):
        for i, name in enumerate(tv.Imagenette._WNID_TO_CLASS):
            write(tmp_path / f'imagenette2/{part}/{name}/1.JPEG', value + i)
    return tmp_path


def test_torchvision_by_files(imagenette):
    data = TorchvisionDataset('Imagenette', str(imagenette), pipeline=LOAD)
    assert greys(data) == list(range(10, 20)) and labels(data) == list(
        range(10))
    assert data.metainfo['classes'][0] == 'tench'
    test = ImageFolder(
        f'torchvision:imagenette:{imagenette}', split='test', pipeline=LOAD)
    assert greys(test) == list(range(20, 30))
    small = TorchvisionDataset(
        'Imagenette', str(imagenette), classes=['parachute', 'tench'])
    assert labels(small) == [1, 0]


def test_torchvision_in_memory(tmp_path, monkeypatch):
    """CIFAR-10's files, whose pictures are arrays."""
    folder = tmp_path / tv.CIFAR10.base_folder
    folder.mkdir()
    monkeypatch.setattr(tv.CIFAR10, '_check_integrity', lambda self: True)
    monkeypatch.setattr('torchvision.datasets.cifar.check_integrity',
                        lambda *_: True)
    files = (*tv.CIFAR10.train_list, *tv.CIFAR10.test_list)
    for number, (name, _) in enumerate(files):
        rows = np.full((2, 3072), number, np.uint8)
        rows[:, :1024] = 200  # red
        with open(folder / name, 'wb') as file:
            pickle.dump(dict(data=rows, labels=[number, 9]), file)
    with open(folder / tv.CIFAR10.meta['filename'], 'wb') as file:
        names = [f'c{i}' for i in range(10)]
        pickle.dump({tv.CIFAR10.meta['key']: names}, file)
    data = TorchvisionDataset('CIFAR10', str(tmp_path), pipeline=LOAD)
    assert len(data) == 10 and labels(data)[:4] == [0, 9, 1, 9]
    assert data.metainfo['classes'] == tuple(names)
    # BGR, as every picture here
    assert data[3]['img'].shape == (32, 32, 3)
    assert data[3]['img'][5, 5].tolist() == [1, 1, 200]
    assert len(TorchvisionDataset('CIFAR10', str(tmp_path), split='test')) == 2


def test_torchvision_without_parts(tmp_path):
    for name in ('AnnualCrop', 'Forest'):
        for i in range(10):
            write(tmp_path / f'eurosat/2750/{name}/{i}.jpg', i)
    root = dict(name='EuroSAT', root=str(tmp_path))
    train, val = (
        TorchvisionDataset(**root, split=part) for part in ('train', 'val'))
    assert (len(train), len(val)) == (18, 2)
    with pytest.raises(ValueError, match="no part for split='test'"):
        TorchvisionDataset(**root, split='test')


@pytest.mark.parametrize('options, error, message', [
    (dict(name='CIFAR10', data_root='x'), ValueError,
     "set data_root='torchvision:CIFAR10' of ImageFolder"),
    (dict(name='CIFR10'), ValueError, 'nearest: CIFAR10, CIFAR100'),
    (dict(name='STL10', split='extra'), ValueError,
     "no part 'extra'; it has 'test', 'train', 'train.unlabeled'"),
    (dict(name='CIFAR10', split='unlabeled'), ValueError,
     "no part 'unlabeled'; it has 'train', 'test'"),
    (dict(name='CIFAR10'), FileNotFoundError,
     'put there: https://.*cifar-10-python.tar.gz'),
    (dict(name='STL10', split='unlabeled'), FileNotFoundError,
     'put there: http.*stl10_binary.tar.gz'),
])
def test_torchvision_refuses(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        TorchvisionDataset(root=str(tmp_path), **options)


def test_tiny_imagenet(tmp_path):
    for i, name in enumerate(('n01', 'n02')):
        write(tmp_path / f'train/{name}/images/{name}_0.JPEG', i)
        write(tmp_path / f'val/images/val_{i}.JPEG', 10 + i)
    lines = [f'val_{i}.JPEG\tn0{2 - i}\t0\t0\t62\t62' for i in range(2)]
    (tmp_path / 'val/val_annotations.txt').write_text('\n'.join(lines) + '\n')
    train = ImageFolder(str(tmp_path), pipeline=LOAD)
    val = ImageFolder(str(tmp_path), split='val', pipeline=LOAD)
    assert train.metainfo['classes'] == val.metainfo['classes']
    assert labels(train) == [0, 1] and greys(train) == [0, 1]
    assert labels(val) == [1, 0] and greys(val) == [10, 11]
    # without its labels, a folder of pictures
    assert labels(ImageFolder(str(tmp_path), split='val',
                              with_labels=False)) == [-1, -1]


def test_folders_of_parts_hold_shards(tmp_path, shards):
    """As DatasetDict.save_to_disk writes them, and many others."""
    root = tmp_path / 'other [1]'
    for part, names in (('train', range(3)), ('validation', [3])):
        for i in names:
            table = pa.table(dict(image=[picture(i)], label=[i % 2]))
            path = root / part / f'data-0000{i}-of-00003.arrow'
            path.parent.mkdir(parents=True, exist_ok=True)
            with pa.ipc.new_stream(str(path), table.schema) as writer:
                writer.write_table(table)
    (root / 'dataset_dict.json').write_text('{}')
    for split, wanted in (('', [0, 1, 2]), ('train', [0, 1, 2]), ('val', [3]),
                          ('all', [0, 1, 2, 3])):
        data = ImageFolder(str(root), split=split, pipeline=LOAD)
        assert greys(data) == wanted
    for part in ('train', 'val'):
        (tmp_path / 'tars' / part).mkdir(parents=True)
        for i in range(2):
            shutil.copy(shards / f'train-00000{i}.tar',
                        tmp_path / 'tars' / part / f'{i:04d}.tar')
    data = ImageFolder(str(tmp_path / 'tars'), split='val', pipeline=LOAD)
    assert greys(data) == list(range(8))


def test_longer_fields(tmp_path):
    """WebDataset tells what a file is by the last part of its name."""
    path = write_tar(tmp_path / 'a.tar',
                     [(f'{i}.{field}', data) for i in range(2)
                      for field, data in (('left.png', picture(i)),
                                          ('class.cls', b'%d' % (1 - i)))])
    data = ImageFolder(path, pipeline=LOAD)
    assert greys(data) == [0, 1] and labels(data) == [1, 0]
