"""Broken pictures are reported once, replaced and counted; the run goes on."""
import os
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from caco_ext.datasets import ImageFolder
from caco_ext.engine.hooks.broken_pictures_hook import BrokenPicturesHook
from tests.helpers.distributed import run_distributed


def first_item(batch):
    return batch


def spoil(folder, *parts):
    """Cut pictures of a folder in half."""
    for part in parts:
        data = (folder / part).read_bytes()
        (folder / part).write_bytes(data[:len(data) // 2])


def build(folder, **options):
    return ImageFolder(
        str(folder), pipeline=[dict(type='LoadImage')], **options)


def test_another_picture_takes_its_place(labelled):
    spoil(labelled, 'ant/03.png')
    data = build(labelled)
    before = np.random.get_state()[1].copy()
    item = data[3]
    assert item['img_path'] != str(labelled / 'ant/03.png')
    assert data[3]['img_path'] == item['img_path']
    assert build(labelled)[3]['img_path'] == item['img_path']
    assert data.num_broken == 1
    # no global draw was used up
    assert np.array_equal(before, np.random.get_state()[1])
    assert item['gt_label'] == ('ant', 'bee',
                                'cat').index(item['img_path'].split('/')[-2])


def test_warned_once_with_the_path(labelled, said):
    spoil(labelled, 'bee/00.png')
    data = build(labelled)
    data[10], data[10]
    (text, ) = said
    assert 'bee/00.png cannot be read' in text and 'truncated' in text


@pytest.mark.slow
@pytest.mark.parametrize('options', [
    dict(num_workers=0),
    dict(num_workers=2),
    dict(num_workers=2, persistent_workers=True),
    dict(num_workers=1, multiprocessing_context='spawn')
])
def test_count_reaches_the_main_process(labelled, options):
    spoil(labelled, 'ant/00.png', 'bee/01.png', 'cat/09.png')
    data = build(labelled)
    loader = DataLoader(data, 5, collate_fn=first_item, **options)
    for _ in range(2):
        assert sum(len(batch) for batch in loader) == 30
    assert data.num_broken == 3
    assert data.broken.indices() == [0, 11, 29]


def test_all_broken(flat):
    spoil(flat, *[f'{i}.png' for i in range(6)])
    with pytest.raises(RuntimeError, match=r'(?s)gave nothing.*/0\.png'):
        build(flat)[0]


def test_too_many_broken(labelled):
    spoil(labelled, *[f'ant/{i:02d}.png' for i in range(10)], 'bee/00.png')
    data = build(labelled)
    with pytest.raises(
            RuntimeError, match=r'(?s)11 of 30.*max_broken_share=0.1.*ant/09'):
        for i in range(30):
            data[i]
    patient = build(labelled, max_broken_share=.5)
    for i in range(30):
        patient[i]
    assert patient.num_broken == 11


def test_error_in_a_worker_reaches_the_user(flat):
    spoil(flat, *[f'{i}.png' for i in range(6)])
    with pytest.raises(RuntimeError, match='mend or remove them'):
        list(DataLoader(build(flat), 2, num_workers=1))


@pytest.mark.slow
def test_hook_logs_the_count(labelled):
    spoil(labelled, 'ant/00.png', 'bee/01.png')
    data = build(labelled)
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=data))
    runner = MagicMock(train_loop=loop)
    hook = BrokenPicturesHook(max_listed=1)
    hook.after_train_epoch(runner)
    runner.logger.warning.assert_not_called()
    data[0], data[11]
    hook.after_train_epoch(runner)
    text = runner.logger.warning.call_args[0][0]
    assert text.startswith('2 of 30 pictures') and 'ant/00.png' in text
    assert 'bee/01.png' not in text
    runner.message_hub.update_scalar.assert_called_once_with(
        'train/broken_pictures', 2)


def test_hook_leaves_other_data_sets_alone():
    loop = SimpleNamespace(
        dataloader=SimpleNamespace(dataset=torch.utils.data.TensorDataset()))
    runner = MagicMock(train_loop=loop)
    BrokenPicturesHook().after_train_epoch(runner)
    runner.logger.warning.assert_not_called()


def broken_on_this_rank(folder):
    """Each rank meets another broken picture, and both meet one."""
    data = build(folder)
    data[0], data[11 if int(os.environ['RANK']) else 29]
    return data.num_broken, data.broken.indices(reduce=True)


@pytest.mark.slow
def test_ranks_are_counted_together(labelled):
    spoil(labelled, 'ant/00.png', 'bee/01.png', 'cat/09.png')
    results = run_distributed(broken_on_this_rank, 2, labelled)
    assert results == [(2, [0, 11, 29])] * 2
