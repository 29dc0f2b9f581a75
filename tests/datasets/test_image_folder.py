"""Folders and lists of pictures: what is found, and what is refused."""
import copy
import functools
import os
import pickle
import re
import socket
import subprocess
import tracemalloc
from collections import Counter

import numpy as np
import pytest
import torch

from caco_ext.datasets import ImageFolder
from caco_ext.evaluation import translate_labels

LOAD = [dict(type='LoadImage')]
# Packing the list of pictures collects garbage, which takes a while here.
unpacked = functools.partial(ImageFolder, serialize_data=False)


def labels(data):
    return [data.get_data_info(i)['gt_label'] for i in range(len(data))]


def names(data):
    return [
        os.path.relpath(data.get_data_info(i)['img_path'], data.data_root)
        for i in range(len(data))
    ]


def write_list(labelled, text, **encoding):
    path = labelled / 'list.txt'
    path.write_text(text, newline='', **encoding)
    return str(path)


def test_class_folders_give_labels(labelled):
    data = unpacked(str(labelled), pipeline=LOAD)
    assert len(data) == 30
    assert data.metainfo['classes'] == ('ant', 'bee', 'cat')
    assert labels(data) == [0] * 10 + [1] * 10 + [2] * 10
    assert names(data)[10] == 'bee/00.png'
    assert data[29]['img'].shape == (20, 24, 3)


def test_flat_folder_has_no_labels(flat):
    data = unpacked(str(flat))
    assert labels(data) == [-1] * 6
    assert data.metainfo['classes'] == ()
    with pytest.raises(ValueError, match='no class folders'):
        unpacked(str(flat), with_labels=True)


def test_labels_can_be_ignored(labelled):
    data = unpacked(str(labelled), with_labels=False)
    assert len(data) == 30 and set(labels(data)) == {-1}


def test_loose_pictures_beside_folders(labelled, flat, said):
    os.rename(flat / '0.png', labelled / 'loose.png')
    data = unpacked(str(labelled))
    assert Counter(labels(data)) == {0: 10, 1: 10, 2: 10, -1: 1}
    assert data.metainfo['classes'] == ('ant', 'bee', 'cat')
    assert names(data)[30] == 'loose.png'
    assert len(said) == 1 and 'loose.png' in said[0]
    with pytest.raises(ValueError, match='loose.png.*with_labels=False'):
        unpacked(str(labelled), with_labels=True)


def test_nested_linked_and_hidden(labelled, flat):
    (labelled / 'ant' / 'deep' / 'er').mkdir(parents=True)
    os.rename(flat / '0.png', labelled / 'ant' / 'deep' / 'er' / 'X.PNG')
    os.rename(flat / '1.png', labelled / 'ant' / '.hidden.png')
    (labelled / '.cache').mkdir()
    os.rename(flat / '2.png', labelled / '.cache' / 'a.png')
    (labelled / 'notes.txt').write_text('no picture')
    os.symlink(flat, labelled / 'dog')
    data = unpacked(str(labelled))
    assert data.metainfo['classes'] == ('ant', 'bee', 'cat', 'dog')
    assert Counter(labels(data)) == {0: 11, 1: 10, 2: 10, 3: 3}
    assert 'ant/deep/er/X.PNG' in names(data)


def test_link_to_a_folder_above_is_refused(labelled):
    os.symlink(labelled, labelled / 'cat' / 'again')
    with pytest.raises(ValueError, match='again.*remove the link'):
        unpacked(str(labelled))


def test_chosen_classes(labelled):
    data = unpacked(str(labelled), classes=['cat', 'ant'])
    assert data.metainfo['classes'] == ('cat', 'ant')
    assert names(data)[0] == 'cat/00.png' and len(data) == 20
    with pytest.raises(FileNotFoundError, match="'dog'.*option classes"):
        unpacked(str(labelled), classes=['cat', 'dog'])


@pytest.mark.parametrize('options, error, message', [
    (dict(data_root='{0}/nowhere'), FileNotFoundError, 'data_root'),
    (dict(data_root=''), ValueError, 'data_root is empty'),
    (dict(data_root='{0}', extensions=['.xyz']), ValueError,
     r'no pictures in .*\.xyz.*extensions'),
    (dict(data_root='{0}', ann_file='no.txt'), FileNotFoundError, 'no.txt'),
    (dict(data_root='{0}', fraction=0), ValueError, 'fraction'),
    (dict(data_root='{0}',
          max_broken_share=2), ValueError, 'max_broken_share'),
    (dict(data_root='{0}', split='test'), ValueError, 'split'),
    (dict(data_root='{0}', split='val',
          val_share=0), ValueError, 'val_share above 0'),
    (dict(data_root='{0}',
          data_prefix=dict(img='a')), ValueError, 'data_prefix'),
])
def test_refusals(labelled, options, error, message):
    options['data_root'] = options['data_root'].format(labelled)
    with pytest.raises(error, match=message):
        unpacked(**options)


@pytest.mark.parametrize('text, kinds', [
    ('red ant 7/00.png 2\n\nbee/01.png 0\ncat/02.png\t1\n', [2, 0, 1]),
    ('red ant 7/00.png\t1\nbee/01.png \t 0\ncat/02.png\t\t0\n', [1, 0, 0]),
])
def test_list_with_blanks_in_paths(labelled, text, kinds):
    os.rename(labelled / 'ant', labelled / 'red ant 7')
    path = write_list(labelled, text)
    for options in (dict(data_root=path),
                    dict(data_root=str(labelled), ann_file='list.txt')):
        data = unpacked(**options)
        assert names(data) == ['red ant 7/00.png', 'bee/01.png', 'cat/02.png']
        assert labels(data) == kinds
        assert data.metainfo['classes'] == ('0', '1', '2')[:max(kinds) + 1]


def test_picture_that_is_listed_twice(labelled, said):
    text = 'ant/00.png 0\nbee/01.png 1\nant/00.png 1\n'
    assert labels(unpacked(write_list(labelled, text))) == [0, 1, 1]
    assert len(said) == 1 and re.search(r'1 line.* line 3 first', said[0])


def test_list_without_labels_and_prefix(labelled):
    (labelled / 'list.txt').write_text('00.png\n01.png\n')
    data = unpacked(
        str(labelled), 'list.txt', data_prefix='bee', pipeline=LOAD)
    assert names(data) == ['bee/00.png', 'bee/01.png']
    assert labels(data) == [-1, -1]
    assert data[1]['img'].shape == (20, 24, 3)


@pytest.mark.parametrize('text, error, message', [
    ('ant/00.png 3\n', ValueError, 'label 3.*2 names'),
    ('ant/00.png 0\nant/77.png 1\n', FileNotFoundError,
     "line 2 .*'ant/77.png'"),
    ('ant/00.png 0\nant/01.png\n', ValueError, 'line 2 .*no label'),
    ('\n', ValueError, 'no pictures'),
    *((f'ant/00.png 0\nant/01.png{rest}\n', ValueError,
       f"line 2 .* has '{rest[1:]}' behind 'ant/01.png'; .* whole number")
      for rest in (',1', ';1', ' -1', '\t0.5', ' bee', '\xa01')),
])
def test_bad_lists(labelled, text, error, message):
    with pytest.raises(error, match=message):
        unpacked(write_list(labelled, text), classes=['a', 'b'])


@pytest.mark.parametrize('label', [99999999999, 1700000000, 10**18 - 1])
def test_label_that_is_a_time_or_an_id(labelled, label):
    path = write_list(labelled, f'ant/00.png 3\nbee/00.png {label}\n')
    tracemalloc.start()
    with pytest.raises(ValueError, match=f'line 2 .* ends in {label}, which'):
        unpacked(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert len(unpacked(path, with_labels=False)) == 2


def test_labels_with_gaps(labelled, said):
    train = unpacked(
        write_list(
            labelled, 'ant/00.png 20240101\nbee/00.png 7\n'
            'cat/00.png 500\ncat/01.png 7\n'))
    assert labels(train) == [2, 0, 1, 0]
    assert train.metainfo['classes'] == ('7', '500', '20240101')
    assert len(said) == 1 and 'between 7 and 20240101' in said[0]
    # another list has gaps of its own, and kNN matches the classes by name
    test = unpacked(
        write_list(labelled, 'ant/01.png 20240101\ncat/02.png 500\n'))
    assert labels(test) == [1, 0]
    assert translate_labels(train, np.array(labels(train)), test,
                            np.array(labels(test))).tolist() == [2, 1]


def test_marks_and_line_ends_of_lists(labelled):
    text = 'ant/00.png 0\r\nbee/01.png 1\r\n'
    for encoding in ('utf-8', 'utf-8-sig'):
        data = unpacked(write_list(labelled, text, encoding=encoding))
        assert labels(data) == [0, 1]
        assert names(data) == ['ant/00.png', 'bee/01.png']
    for encoding in ('utf-16', 'utf-16-le'):
        path = write_list(labelled, text, encoding=encoding)
        with pytest.raises(ValueError, match='perhaps one in UTF-16'):
            unpacked(path)


def test_classes_from_a_file(labelled, said):
    file = labelled.parent / 'classes.txt'
    file.write_text('cat\r\n\nant\n', encoding='utf-8-sig')
    data = unpacked(str(labelled), classes=str(file))
    assert data.metainfo['classes'] == ('cat', 'ant') and len(data) == 20
    path = write_list(labelled, 'ant/00.png 1\nbee/00.png 1\n')
    data = unpacked(path, classes=str(file))
    assert labels(data) == [1, 1]
    assert data.metainfo['classes'] == ('cat', 'ant')
    assert said == [f"1 of 2 classes of '{path}' have no pictures: cat"]
    file.write_text('ant\nant\n')
    with pytest.raises(ValueError, match="classes.txt.*'ant' twice"):
        unpacked(path, classes=str(file))
    with pytest.raises(FileNotFoundError, match='none.txt.*option classes'):
        unpacked(path, classes='none.txt')


def test_empty_classes_cost_one_line(labelled, said):
    for i in range(9):
        (labelled / f'none{i}').mkdir()
    assert len(unpacked(str(labelled))) == 30
    assert len(said) == 1 and said[0].startswith('9 of 12 classes')
    assert said[0].endswith('none0, none1, none2, none3, none4 and 4 more')


@pytest.mark.timeout(20)
def test_list_that_names_no_regular_file(labelled):
    os.mkfifo(labelled / 'fifo.png')
    with pytest.raises(FileNotFoundError, match='line 1.*fifo.png'):
        unpacked(write_list(labelled, 'fifo.png\n'))
    with pytest.raises(FileNotFoundError, match='fifo.png.*no regular file'):
        unpacked(str(labelled), 'fifo.png')


def test_fraction_is_a_fixed_share_of_each_class(labelled):
    first = unpacked(str(labelled), fraction=.3)
    assert Counter(labels(first)) == {0: 3, 1: 3, 2: 3}
    assert names(first) == names(unpacked(str(labelled), fraction=.3))
    other = unpacked(str(labelled), fraction=.3, fraction_seed=1)
    assert names(first) != names(other)
    least = unpacked(str(labelled), fraction=.01)
    assert Counter(labels(least)) == {0: 1, 1: 1, 2: 1}


def test_split_holds_out_where_there_are_no_parts(labelled, said):
    train = unpacked(str(labelled), split='train', val_share=.2)
    val = unpacked(str(labelled), split='val', val_share=.2)
    assert Counter(labels(val)) == {0: 2, 1: 2, 2: 2}
    assert "split='train' takes 24 of its 30 pictures" in said[-2]
    assert "split='val' takes 6 of its 30 pictures" in said[-1]
    assert sorted(names(train) + names(val)) == names(unpacked(str(labelled)))
    everything = unpacked(str(labelled), split='train', val_share=0)
    assert len(everything) == 30


def test_a_class_named_train_is_no_part(labelled):
    os.rename(labelled / 'ant', labelled / 'train')
    assert len(unpacked(str(labelled), split='train')) == 27


@pytest.mark.timeout(20)
def test_only_regular_files_are_pictures(labelled, said):
    ant = labelled / 'ant'
    os.mkfifo(ant / 'fifo.jpg')
    os.symlink(ant / 'fifo.jpg', ant / 'to_fifo.jpg')
    os.symlink('/dev/zero', ant / 'zero.png')
    os.symlink('circle', ant / 'circle')
    os.symlink('nowhere', ant / 'dead.png')
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(ant / 'a.png'))
    (ant / 'folder.png').mkdir()
    os.rename(ant / '00.png', ant / 'folder.png' / '00.png')
    (ant / 'clip.mp4').write_text('')
    (labelled / 'README').write_text('')
    (labelled / '.hidden.mp4').write_text('')
    data = unpacked(str(labelled), pipeline=LOAD)
    assert data.metainfo['classes'] == ('ant', 'bee', 'cat')
    # the dead link is a broken picture, as one that vanishes later is
    assert names(data)[:11] == [
        *(f'ant/{i:02}.png' for i in range(1, 10)), 'ant/dead.png',
        'ant/folder.png/00.png'
    ]
    assert len(data) == 31
    assert data[9]['img_path'] != str(ant / 'dead.png')
    line, = (text for text in said if text.startswith('skipped'))
    assert line.startswith(f"skipped 7 files of '{labelled}'")
    for kind in ('FIFO, socket or device 4', 'dead link 1', '.mp4 1',
                 'without ending 1'):
        assert kind in line


def test_all_formats_are_found(labelled, said):
    endings = ('.avif', '.ico', '.jfif', '.jp2', '.tga', '.apng', '.dds')
    for ending in (*endings, '.eps', '.pdf', '.mpg', '.h5'):
        (labelled / 'ant' / f'x{ending.upper()}').write_text('')
    found = {os.path.splitext(n)[1] for n in names(unpacked(str(labelled)))}
    assert found == {'.png', *(ending.upper() for ending in endings)}
    assert any('.eps 1' in t and '.h5 1' in t for t in said)


def test_a_thousand_folders_down(labelled):
    path = labelled / 'ant'
    here = os.open(path, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir('d', dir_fd=here)
        below = os.open('d', os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    deep = os.path.join(path, *['d'] * 1200)
    os.rename(path / '00.png', os.path.join(deep, '0.png'))
    data = unpacked(str(labelled), pipeline=LOAD)
    assert len(data) == 30
    assert data[9]['img_path'] == os.path.join(deep, '0.png')
    # pytest could not: shutil goes down by recursion
    subprocess.run(['rm', '-r', path / 'd'], check=True)


def test_folder_that_cannot_be_read(labelled, monkeypatch):
    scandir = os.scandir

    def refuse(folder):
        if str(folder).endswith('bee'):
            raise PermissionError(13, 'Permission denied', folder)
        return scandir(folder)

    monkeypatch.setattr(os, 'scandir', refuse)
    with pytest.raises(ValueError, match='bee.*Permission denied') as caught:
        unpacked(str(labelled))
    assert '\n' not in str(caught.value)


def test_subset_copy_and_pickle(labelled):
    data = ImageFolder(str(labelled), pipeline=LOAD)
    part = data.get_subset([3, 12])
    assert labels(part) == [0, 1] and len(part.broken.flags) == 2
    part.get_subset_(1)
    assert len(part) == len(part.broken.flags) == 1
    for clone in (copy.deepcopy(data), pickle.loads(pickle.dumps(data))):
        assert np.array_equal(clone[5]['img'], data[5]['img'])
    assert copy.deepcopy(data).broken.flags.is_shared()


def test_lazy_init(labelled):
    data = ImageFolder(str(labelled), lazy_init=True, pipeline=LOAD)
    assert len(data) == 30 and data.num_broken == 0
    assert isinstance(data.broken.flags, torch.Tensor)
