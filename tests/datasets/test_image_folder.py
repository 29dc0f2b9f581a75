"""Folders and lists of pictures: what is found, and what is refused."""
import copy
import os
import pickle
from collections import Counter

import numpy as np
import pytest
import torch

from caco_ext.datasets import ImageFolder

LOAD = [dict(type='LoadImage')]


def labels(data):
    return [data.get_data_info(i)['gt_label'] for i in range(len(data))]


def names(data):
    return [
        os.path.relpath(data.get_data_info(i)['img_path'], data.data_root)
        for i in range(len(data))
    ]


def test_class_folders_give_labels(labelled):
    data = ImageFolder(str(labelled), pipeline=LOAD)
    assert len(data) == 30
    assert data.metainfo['classes'] == ('ant', 'bee', 'cat')
    assert labels(data) == [0] * 10 + [1] * 10 + [2] * 10
    assert names(data)[10] == 'bee/00.png'
    assert data[29]['img'].shape == (20, 24, 3)


def test_flat_folder_has_no_labels(flat):
    data = ImageFolder(str(flat))
    assert labels(data) == [-1] * 6
    assert data.metainfo['classes'] == ()


def test_labels_can_be_ignored(labelled):
    data = ImageFolder(str(labelled), with_labels=False)
    assert len(data) == 30 and set(labels(data)) == {-1}


def test_loose_pictures_beside_folders(labelled, flat):
    os.rename(flat / '0.png', labelled / 'loose.png')
    data = ImageFolder(str(labelled))
    assert len(data) == 31 and set(labels(data)) == {-1}
    with pytest.raises(ValueError, match='loose.png.*with_labels=False'):
        ImageFolder(str(labelled), with_labels=True)


def test_nested_linked_and_hidden(labelled, flat):
    (labelled / 'ant' / 'deep' / 'er').mkdir(parents=True)
    os.rename(flat / '0.png', labelled / 'ant' / 'deep' / 'er' / 'X.PNG')
    os.rename(flat / '1.png', labelled / 'ant' / '.hidden.png')
    (labelled / '.cache').mkdir()
    os.rename(flat / '2.png', labelled / '.cache' / 'a.png')
    (labelled / 'notes.txt').write_text('no picture')
    os.symlink(flat, labelled / 'dog')
    data = ImageFolder(str(labelled))
    assert data.metainfo['classes'] == ('ant', 'bee', 'cat', 'dog')
    assert Counter(labels(data)) == {0: 11, 1: 10, 2: 10, 3: 3}
    assert 'ant/deep/er/X.PNG' in names(data)


def test_link_to_a_folder_above_is_refused(labelled):
    os.symlink(labelled, labelled / 'cat' / 'again')
    with pytest.raises(ValueError, match='again.*remove the link'):
        ImageFolder(str(labelled))


def test_chosen_classes(labelled):
    data = ImageFolder(str(labelled), classes=['cat', 'ant'])
    assert data.metainfo['classes'] == ('cat', 'ant')
    assert names(data)[0] == 'cat/00.png' and len(data) == 20
    with pytest.raises(FileNotFoundError, match="'dog'.*option classes"):
        ImageFolder(str(labelled), classes=['cat', 'dog'])


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
        ImageFolder(**options)


def test_flat_folder_has_no_labels_to_demand(flat):
    with pytest.raises(ValueError, match='no class folders'):
        ImageFolder(str(flat), with_labels=True)


def test_list_with_blanks_in_paths(labelled):
    os.rename(labelled / 'ant', labelled / 'red ant 7')
    path = labelled / 'list.txt'
    path.write_text('red ant 7/00.png 2\n\nbee/01.png 0\ncat/02.png\t1\n')
    for options in (dict(data_root=str(path)),
                    dict(data_root=str(labelled), ann_file='list.txt')):
        data = ImageFolder(**options)
        assert names(data) == ['red ant 7/00.png', 'bee/01.png', 'cat/02.png']
        assert labels(data) == [2, 0, 1]
        assert data.metainfo['classes'] == ('0', '1', '2')


def test_list_without_labels_and_prefix(labelled):
    (labelled / 'list.txt').write_text('00.png\n01.png\n')
    data = ImageFolder(
        str(labelled), 'list.txt', data_prefix='bee', pipeline=LOAD)
    assert names(data) == ['bee/00.png', 'bee/01.png']
    assert labels(data) == [-1, -1]
    assert data[1]['img'].shape == (20, 24, 3)


@pytest.mark.parametrize('text, error, message', [
    ('ant/00.png 0\nant/77.png 1\n', FileNotFoundError,
     "line 2 .*'ant/77.png'"),
    ('ant/00.png 0\nant/01.png\n', ValueError, 'line 2 .*no label'),
    ('\n', ValueError, 'no pictures'),
])
def test_bad_lists(labelled, text, error, message):
    (labelled / 'list.txt').write_text(text)
    with pytest.raises(error, match=message):
        ImageFolder(str(labelled), 'list.txt')


def test_list_with_too_few_class_names(labelled):
    (labelled / 'list.txt').write_text('ant/00.png 3\n')
    with pytest.raises(ValueError, match='label 3.*2 names'):
        ImageFolder(str(labelled), 'list.txt', classes=['a', 'b'])


def test_fraction_is_a_fixed_share_of_each_class(labelled):
    first = ImageFolder(str(labelled), fraction=.3)
    assert Counter(labels(first)) == {0: 3, 1: 3, 2: 3}
    assert names(first) == names(ImageFolder(str(labelled), fraction=.3))
    other = ImageFolder(str(labelled), fraction=.3, fraction_seed=1)
    assert names(first) != names(other)
    least = ImageFolder(str(labelled), fraction=.01)
    assert Counter(labels(least)) == {0: 1, 1: 1, 2: 1}


def test_split_holds_out_where_there_are_no_parts(labelled):
    train = ImageFolder(str(labelled), split='train', val_share=.2)
    val = ImageFolder(str(labelled), split='val', val_share=.2)
    assert Counter(labels(val)) == {0: 2, 1: 2, 2: 2}
    assert sorted(names(train) + names(val)) == names(
        ImageFolder(str(labelled)))
    everything = ImageFolder(str(labelled), split='train', val_share=0)
    assert len(everything) == 30


def test_split_uses_parts_where_there_are_some(labelled, tmp_path, flat):
    (tmp_path / 'root').mkdir()
    os.rename(labelled, tmp_path / 'root' / 'train')
    os.rename(flat, tmp_path / 'root' / 'val')
    assert len(ImageFolder(str(tmp_path / 'root'), split='train')) == 30
    assert len(ImageFolder(str(tmp_path / 'root'), split='val')) == 6


def test_a_class_named_train_is_no_part(labelled):
    os.rename(labelled / 'ant', labelled / 'train')
    assert len(ImageFolder(str(labelled), split='train')) == 27


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
