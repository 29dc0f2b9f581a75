"""LMDB files: the same pictures as the folder, from many workers."""
import json
import mmap
import os
import pickle
import resource
from collections import Counter
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
from torch.utils.data import DataLoader

from caco_ext.datasets import BrokenPictureError, image_folder, lmdb_writer
from caco_ext.datasets.containers import lmdb_format
from caco_ext.datasets.containers import lmdb_source as source
from caco_ext.datasets.lmdb_writer import LMDBWriter
from caco_ext.datasets.packing import PackSource

LOAD = [dict(type='LoadImage')]
# Packing the list of pictures collects garbage, which takes a while here.
ImageFolder = partial(image_folder.ImageFolder, serialize_data=False)
SOUND = dict(
    format=lmdb_format.FORMAT,
    version=lmdb_format.VERSION,
    length=30,
    classes=['ant', 'bee', 'cat'],
    written=30,
    digest=None,
    complete=True)


def convert(folder, target):
    return LMDBWriter(PackSource(str(folder)), str(target)).write(quiet=True)


def as_list(batch):
    return batch


@pytest.fixture
def converted(labelled, tmp_path):
    """LMDB file of the three classes."""
    target = tmp_path / 'set.lmdb'
    assert convert(labelled, target) == 30
    return target


@contextmanager
def opened(target):
    lmdb = lmdb_format.import_lmdb()
    with lmdb.open(str(target), subdir=False) as env:
        with env.begin(write=True) as txn:
            yield txn


def put(target, key, value):
    with opened(target) as txn:
        if value is None:
            txn.delete(key)
        else:
            txn.put(key, value)


def edit_header(target, **changes):
    with opened(target) as txn:
        header = json.loads(txn.get(lmdb_format.HEADER))
        header.update(changes)
        txn.put(lmdb_format.HEADER, json.dumps(header).encode())


def test_same_as_the_folder(labelled, converted):
    folder = ImageFolder(str(labelled), pipeline=LOAD)
    data = ImageFolder(str(converted), pipeline=LOAD)
    assert data.metainfo['classes'] == folder.metainfo['classes']
    assert not os.path.exists(f'{converted}-lock')
    for i in range(30):
        one, other = data[i], folder[i]
        assert np.array_equal(one['img'], other['img'])
        assert one['gt_label'] == other['gt_label']
        assert one['img_path'].endswith(
            os.path.relpath(other['img_path'], labelled))
        assert 'lmdb_index' not in one and 'img_bytes' not in one


@pytest.mark.parametrize('options', [
    dict(num_workers=2),
    dict(num_workers=2, persistent_workers=True),
])
def test_many_workers(converted, options):
    data = ImageFolder(str(converted), pipeline=LOAD)
    data[0]  # opened here before the workers start
    loader = DataLoader(data, 4, collate_fn=as_list, **options)
    for _ in range(2):
        items = [item for batch in loader for item in batch]
        assert [i['gt_label'] for i in items] == [0] * 10 + [1] * 10 + [2] * 10
        assert all(
            np.array_equal(i['img'], data[i['sample_idx']]['img'])
            for i in items[::7])


def test_pickle_leaves_the_original_alive(converted):
    data = ImageFolder(str(converted), pipeline=LOAD)
    expected = data[4]['img']
    assert np.array_equal(pickle.loads(pickle.dumps(data))[4]['img'], expected)
    assert np.array_equal(data[4]['img'], expected)


def test_two_data_sets_of_one_file(converted):
    one = ImageFolder(str(converted), pipeline=LOAD)
    other = ImageFolder(str(converted), pipeline=LOAD, fraction=.5)
    assert np.array_equal(one[0]['img'], one[0]['img'])
    assert len(other) == 15 and other[0]['img'].shape == (20, 24, 3)


def test_split_fraction_and_labels(labelled, converted):
    for options in (dict(split='val'), dict(fraction=.4),
                    dict(with_labels=False)):
        folder = ImageFolder(str(labelled), pipeline=LOAD, **options)
        data = ImageFolder(str(converted), pipeline=LOAD, **options)
        assert len(data) == len(folder)
        for i in range(len(data)):
            assert np.array_equal(data[i]['img'], folder[i]['img'])
            assert data[i]['gt_label'] == folder[i]['gt_label']


def test_parts_of_a_root(labelled, flat, tmp_path):
    root = tmp_path / 'root'
    for part, folder in (('train', labelled), ('val', flat)):
        convert(folder, root / f'{part}.lmdb')
    assert len(ImageFolder(str(root), split='train')) == 30
    assert len(ImageFolder(str(root), split='val')) == 6


def test_from_a_list(labelled, tmp_path):
    (labelled / 'list.txt').write_text('bee/03.png 1\nant/00.png 0\n')
    target = str(tmp_path / 'a.lmdb')
    convert(labelled / 'list.txt', target)
    data = ImageFolder(target, pipeline=LOAD)
    assert [data[i]['gt_label'] for i in range(2)] == [1, 0]
    assert data[0]['img_path'] == f'{target}/bee/03.png'


@pytest.fixture
def interrupted(labelled, tmp_path, monkeypatch):
    """An LMDB file whose conversion ended at the twentieth picture, and the
    pictures that are read from now on."""
    monkeypatch.setattr(lmdb_writer, '_CHUNK', 8)
    read, calls = PackSource.read, []

    def stop_at_20(self, index):
        if index == 20 and 20 not in calls:
            calls.append(20)
            raise KeyboardInterrupt
        calls.append(index)
        return read(self, index)

    monkeypatch.setattr(PackSource, 'read', stop_at_20)
    with pytest.raises(KeyboardInterrupt):
        convert(labelled, tmp_path / 'set.lmdb')
    assert calls == list(range(21))
    calls[:] = [20]
    return str(tmp_path / 'set.lmdb'), calls


def test_interrupted_and_resumed(labelled, interrupted):
    target, calls = interrupted
    with pytest.raises(ValueError, match='did not end.*resume'):
        ImageFolder(target)
    convert(labelled, target)
    # two chunks of eight were committed before
    assert calls[1:] == list(range(16, 30))
    assert len(ImageFolder(target)) == 30
    assert convert(labelled, target) == 30
    assert len(calls) == 1 + 14


def test_more_room_when_the_map_is_full(labelled, tmp_path, monkeypatch):
    monkeypatch.setattr(lmdb_writer, '_FIRST_MAP_SIZE', 1 << 15)
    target = str(tmp_path / 'set.lmdb')
    assert convert(labelled, target) == 30
    assert os.path.getsize(target) > 1 << 15


def test_source_that_changed(labelled, converted):
    os.remove(labelled / 'ant' / '03.png')
    with pytest.raises(ValueError, match='holds other pictures'):
        convert(labelled, converted)


def replace(path, more=b'', later=1):
    """Put another content in the place of a file's, after so many ns."""
    stat = path.stat()
    path.write_bytes(path.read_bytes()[::-1] + more)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + later))


@pytest.mark.parametrize('how',
                         [{}, dict(more=b'more', later=0),
                          dict(later=0)])
def test_picture_replaced_before_resuming(labelled, interrupted, said, how):
    target, _ = interrupted
    changed = labelled / 'ant' / '03.png'
    replace(changed, **how)
    convert(labelled, target)
    assert len(said) == 1 and 'begins anew' in said[0]
    stored = source.LMDBSource(target)
    assert stored.get(3, 'ant/03.png') == changed.read_bytes()
    assert len(stored.contents()[0]) == 30


def test_picture_replaced_after_the_end(labelled, converted):
    before = converted.read_bytes()
    replace(labelled / 'ant' / '03.png')
    with pytest.raises(ValueError, match='have changed since.*remove it'):
        convert(labelled, converted)
    assert converted.read_bytes() == before


def test_file_without_stamps(labelled, converted):
    edit_header(converted, stamps=None)
    assert len(ImageFolder(str(converted))) == 30
    with pytest.raises(ValueError, match='is complete, but'):
        convert(labelled, converted)


def test_picture_replaced_while_it_is_copied(labelled, tmp_path):
    target = str(tmp_path / 'set.lmdb')
    writer = LMDBWriter(PackSource(str(labelled)), target)
    replace(labelled / 'bee' / '00.png', later=0)
    with pytest.raises(OSError, match='bee/00.png.*same command again'):
        writer.write(quiet=True)
    with pytest.raises(ValueError, match='did not end'):
        ImageFolder(target)
    assert convert(labelled, target) == 30


@pytest.mark.parametrize('room', [0, 4096, 8192, 20000])
def test_full_disk(labelled, converted, tmp_path, monkeypatch, room):
    monkeypatch.setattr(lmdb_writer, '_CHUNK', 8)
    target = tmp_path / 'other.lmdb'
    writer = LMDBWriter(PackSource(str(labelled)), str(target))
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(OSError, match='make room.*it will resume'):
            writer.write(quiet=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert target.stat().st_size <= room
    with pytest.raises(ValueError, match='did not end|pack.py'):
        ImageFolder(str(target))
    assert convert(labelled, target) == 30
    assert source.LMDBSource(str(target)).get(29, '') == \
        source.LMDBSource(str(converted)).get(29, '')


def test_one_writer_at_a_time(labelled, tmp_path):
    target = tmp_path / 'set.lmdb'
    writer = LMDBWriter(PackSource(str(labelled)), str(target))
    with writer._alone():
        with pytest.raises(OSError, match='another process is writing'):
            writer.write(quiet=True)
    assert writer.write(quiet=True) == 30


@pytest.mark.timeout(20)
def test_only_regular_files(labelled, tmp_path):
    os.mkfifo(tmp_path / 'a.lmdb')
    with pytest.raises(ValueError, match='a.lmdb.*no regular file'):
        LMDBWriter(PackSource(str(labelled)), str(tmp_path / 'a.lmdb'))
    with pytest.raises(FileNotFoundError, match='no LMDB file.*a.lmdb'):
        ImageFolder(str(tmp_path / 'a.lmdb'))
    os.mkfifo(labelled / 'ant' / 'fifo.jpg')
    assert LMDBWriter(PackSource(str(labelled)),
                      str(tmp_path / 'b.lmdb')).write(True) == 30
    (labelled / 'list.txt').write_text('to_fifo.jpg\n')
    os.symlink(labelled / 'ant' / 'fifo.jpg', labelled / 'to_fifo.jpg')
    with pytest.raises(OSError, match='to_fifo.jpg.*no regular file'):
        LMDBWriter(
            PackSource(str(labelled / 'list.txt')), str(tmp_path / 'c.lmdb'))


def test_picture_that_is_missing(labelled, tmp_path):
    (labelled / 'ant' / 'link.png').symlink_to(tmp_path / 'nowhere.png')
    with pytest.raises(FileNotFoundError, match='link.png'):
        LMDBWriter(PackSource(str(labelled)), str(tmp_path / 'set.lmdb'))


@pytest.mark.parametrize('value', [
    None,
    b'',
    b'\xff',
    b'not as long as it was',
    b'[]',
    json.dumps(['a.png'] * 30).encode(),
    np.full(30, 3, '<i4').tobytes(),
    np.full(30, -2, '<i4').tobytes(),
    np.repeat([0, 2, 1], 10).astype('<i4').tobytes(),
])
@pytest.mark.parametrize('key', [lmdb_format.LABELS, lmdb_format.PATHS])
def test_damaged_tables(labelled, converted, key, value):
    put(converted, key, value)
    with pytest.raises(ValueError, match=f'damaged: .*{key.decode()}'):
        convert(labelled, converted)
    with pytest.raises(ValueError, match='paths or labels.*damaged'):
        ImageFolder(str(converted))


def is_read_ahead(path):
    """Whether the kernel reads more of a mapped file than is asked for."""
    with open('/proc/self/smaps') as file:
        lines = file.read().splitlines()
    start = next(i for i, line in enumerate(lines) if line.endswith(str(path)))
    flags = next(line for line in lines[start:] if line.startswith('VmFlags'))
    return 'rr' not in flags.split()  # 'random read advise'


@pytest.mark.parametrize('fits', [True, False])
def test_no_readahead_beyond_memory(converted, monkeypatch, fits):
    pages = os.path.getsize(converted) // os.sysconf('SC_PAGE_SIZE')
    sysconf = os.sysconf
    monkeypatch.setattr(
        os, 'sysconf', lambda name:
        (2 * pages - 1 + fits if name == 'SC_PHYS_PAGES' else sysconf(name)))
    data = ImageFolder(str(converted), pipeline=LOAD)
    assert data[7]['img'].shape == (20, 24, 3)
    assert is_read_ahead(converted) == fits


def test_damaged_record(labelled, converted):
    put(converted, b'5', b'\0\0\0\0not what was written')
    with pytest.raises(ValueError, match=r'ant/05\.png.*CRC-32'):
        convert(labelled, converted)
    data = ImageFolder(str(converted), pipeline=LOAD)
    assert not data[5]['img_path'].endswith('ant/05.png')
    assert data.num_broken == 1


@pytest.mark.parametrize('header, message', [
    (dict(SOUND, version=2), 'format version 2.*version 1'),
    (dict(SOUND, format='other'), 'another program'),
    (dict(SOUND, complete=False), 'did not end'),
    *((header, 'another program') for header in (None, b'', b'{}')),
    *((header, 'header of .* is damaged; copy') for header in (
        b'\xff',
        b'[]',
        b'{"format": ',
        b'7',
        *(dict(SOUND, **change) for change in
          (dict(length='30'), dict(length=None), dict(classes=None),
           dict(complete=None), dict(complete='yes'), dict(written=None),
           dict(digest=7))),
    )),
])
def test_wrong_header(labelled, converted, header, message):
    if isinstance(header, dict):
        header = json.dumps(header).encode()
    put(converted, lmdb_format.HEADER, header)
    with pytest.raises(ValueError, match=message):
        ImageFolder(str(converted))
    if 'damaged' in message:
        with pytest.raises(ValueError, match=message):
            convert(labelled, converted)


def test_file_of_no_pictures(converted):
    edit_header(converted, length=0, classes=[], digest=None)
    put(converted, lmdb_format.LABELS, b'')
    put(converted, lmdb_format.PATHS, b'[]')
    with pytest.raises(ValueError, match='holds no pictures'):
        ImageFolder(str(converted))


def test_file_without_digest(converted):
    edit_header(converted, digest=None)
    assert len(ImageFolder(str(converted))) == 30


def flip_and_read(path, data, whole, flips):
    """Read a file with a flipped bit, again and again.

    Returns:
        Counter: How it ended.
    """
    ends = Counter()
    for place, bit in flips:
        damaged = bytearray(data)
        damaged[place] ^= bit
        source.close_all()
        path.write_bytes(damaged)
        one = source.LMDBSource(str(path))
        try:
            assert one.contents() == whole[0]
        except ValueError as error:
            assert str(path) in str(error)
            ends['refused'] += 1
            continue
        for i, content in enumerate(whole[1]):
            try:
                assert one.get(i, 'name') == content
            except BrokenPictureError:
                ends['broken'] += 1
                break
    return ends


def test_flipped_bits(converted):
    """Of LMDB's own pages; a picture's pages are covered by its checksum."""
    one = source.LMDBSource(str(converted))
    whole = one.contents(), [one.get(i, '') for i in range(30)]
    source.close_all()
    data = converted.read_bytes()
    page = mmap.PAGESIZE
    kinds = [
        int.from_bytes(data[p + 10:p + 12], 'little') & 15
        for p in range(0, len(data), page)
    ]
    # the two beginnings, branches and leaves
    own = [n for n, kind in enumerate(kinds) if n < 2 or kind in (1, 2)]
    rng = np.random.default_rng(0)
    # of the head of a page and its pointers: a length of a record that leads
    # beyond the end of the file ends in LMDB itself
    places = [n * page + int(i) for n in own for i in rng.integers(0, 200, 16)]
    flips = [(place, 1 << int(rng.integers(8))) for place in places]
    # pointers that lead far beyond their page
    flips += [(n * page + 17 + 2 * i, 0xF0) for n in own[2:] for i in range(3)]
    child = os.fork()  # which a flip might kill
    if not child:
        end = 1
        try:
            ends = flip_and_read(converted, data, whole, flips)
            end = 0 if ends['broken'] and ends['refused'] else 2
        finally:
            os._exit(end)
    assert os.waitpid(child, 0)[1] == 0


def test_classes_of_another_order(converted):
    ours = ['ant', 'bee', 'cat']
    data = ImageFolder(str(converted), classes=ours)
    assert data.metainfo['classes'] == ('ant', 'bee', 'cat')
    turned = ImageFolder(str(converted), classes=ours[::-1])
    assert [turned.get_data_info(i)['gt_label'] for i in range(len(data))] == [
        2 - data.get_data_info(i)['gt_label'] for i in range(len(data))
    ]
    chosen = ImageFolder(str(converted), classes=['cat'])
    names = {chosen.get_data_info(i)['img_path'] for i in range(len(chosen))}
    assert len(names) == len(chosen) == 10 and all('cat' in n for n in names)
    # some labels would be called by the names of others
    with pytest.raises(ValueError, match='1 of the 3 names.*none of them'):
        ImageFolder(str(converted), classes=['ant', 'bee', 'dog'])
    data = ImageFolder(str(converted), classes=['x', 'y', 'z'])
    assert data.metainfo['classes'] == ('x', 'y', 'z')


def test_truncated_file(converted):
    size = os.path.getsize(converted)
    os.truncate(converted, size // 2)
    with pytest.raises(ValueError, match='truncated'):
        ImageFolder(str(converted))


def test_no_lmdb_file(tmp_path, flat):
    with pytest.raises(FileNotFoundError, match='no LMDB file'):
        ImageFolder(str(tmp_path / 'none.lmdb'))
    (tmp_path / 'text.lmdb').write_text('hello' * 5000)
    with pytest.raises(ValueError, match='no LMDB file'):
        ImageFolder(str(tmp_path / 'text.lmdb'))
    with pytest.raises(ValueError, match='end in .lmdb'):
        LMDBWriter(PackSource(str(flat)), str(tmp_path / 'set'))


def test_no_labels_to_demand(flat, tmp_path):
    target = str(tmp_path / 'a.lmdb')
    convert(flat, target)
    with pytest.raises(ValueError, match='no labels'):
        ImageFolder(target, with_labels=True)
