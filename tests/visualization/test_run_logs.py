"""Reading what runs leave, and its charts."""
import json

import numpy as np
import pytest
import torch
from PIL import Image

from caco_ext.visualization import (draw_charts, knn_chart, loss_chart,
                                    open_features, read_run, scalar_charts)
from caco_ext.visualization.curves import labels
from caco_ext.visualization.report import _made_from, _progress


def write_part(work_dir,
               stamp,
               epochs,
               loss,
               knn,
               per_epoch=3,
               tail='',
               config='',
               **more):
    """The scalars of a part that trained ``epochs``."""
    folder = work_dir / stamp / 'vis_data'
    folder.mkdir(parents=True)
    rows = [dict({'knn/top1': knn, 'knn/top5': 90.}, step=0)] \
        if epochs[0] == 1 else []
    for epoch in epochs:
        for i in range(1, per_epoch + 1):
            step = ((epoch - 1) * per_epoch + i) * 10
            rows.append(
                dict(loss=loss + i, epoch=epoch, iter=step, step=step, **more))
        rows.append(dict({'knn/top1': knn + epoch}, step=epoch))
    text = ''.join(json.dumps(row) + '\n' for row in rows)
    (folder / 'scalars.json').write_text(text + tail)
    (folder / 'config.py').write_text(config)
    return folder


def test_one_part(tmp_path):
    folder = write_part(tmp_path, '20260101_000000', [1, 2, 3], 4., 50.)
    log = read_run(str(tmp_path))
    assert log.loss_by_epoch() == ([1, 2, 3], [6., 6., 6.])
    assert log.knn_by_epoch() == ([1, 2, 3], [51., 52., 53.])
    assert log.untrained_knn == 50.
    assert log.config == str(folder / 'config.py')
    assert log.checkpoint is None and log.record == {}


def test_resumed_part_replaces_what_it_repeats(tmp_path):
    """Killed in epoch 3 with half a line written, resumed from epoch 2."""
    first = write_part(
        tmp_path, '20260101_000000', [1, 2, 3], 4., 50., tail='{"loss": 3.')
    write_part(tmp_path, '20260102_000000', [3, 4], 2., 60.)
    # a test of the result leaves scalars too
    folder = tmp_path / '20260103_000000' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('{"knn/top1": 1.0, "step": 0}\n')
    with pytest.warns(UserWarning) as told:
        log = read_run(str(tmp_path))
    assert len(told) == 1
    assert f'line 14 of {first}/scalars.json' in str(told[0].message)
    assert log.loss_by_epoch() == ([1, 2, 3, 4], [6., 6., 4., 4.])
    assert log.knn_by_epoch() == ([1, 2, 3, 4], [51., 52., 63., 64.])
    assert log.untrained_knn == 50.
    assert '20260102' in log.config


def write_short_part(work_dir, stamp, epoch, begin=None, knn=65.):
    """A part that ended before its first log line of losses."""
    folder = work_dir / stamp / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json'
     ).write_text(json.dumps({
         'knn/top1': knn,
         'step': epoch
     }) + '\n')
    train = 'train_cfg = dict(by_epoch=True, max_epochs=4)'
    (folder / 'config.py').write_text(train)
    if begin is not None:
        record = dict(begins_at_iteration=begin, epoch_length=30)
        (folder / 'run.json').write_text(json.dumps(record))
    return folder


@pytest.mark.parametrize('begin', [None, 90])
def test_part_shorter_than_the_log_interval(tmp_path, begin):
    """Stopped after epoch 3, resumed for the last, which logged no loss."""
    write_part(tmp_path, '20260101_000000', [1, 2, 3], 4., 50.)
    folder = write_short_part(tmp_path, '20260102_000000', 4, begin)
    log = read_run(str(tmp_path))
    assert log.loss_by_epoch() == ([1, 2, 3], [6., 6., 6.])
    assert log.knn_by_epoch() == ([1, 2, 3, 4], [51., 52., 53., 65.])
    assert _progress(log) == '4 of 4 epochs'
    assert log.config == str(folder / 'config.py')


def test_short_part_takes_back_what_was_lost(tmp_path):
    """Resumed from the checkpoint of epoch 2 of 3, and killed soon."""
    write_part(tmp_path, '20260101_000000', [1, 2, 3], 4., 50.)
    folder = write_short_part(tmp_path, '20260102_000000', 0, 60)
    (folder / 'scalars.json').write_text('')
    log = read_run(str(tmp_path))
    assert log.knn_by_epoch() == ([1, 2], [51., 52.])
    assert _progress(log) == '2 of 4 epochs, unfinished'


def test_new_short_run_in_an_old_folder(tmp_path):
    write_part(tmp_path, '20260101_000000', [1, 2, 3], 4., 50.)
    write_short_part(tmp_path, '20260102_000000', 1, 0)
    with pytest.raises(FileNotFoundError, match='no logged losses'):
        read_run(str(tmp_path))


BAD = {
    b'{"loss": 3.\n': 'line 2',
    b'\0\0\0\0{"loss": 1.0, "epoch": 1, "iter": 5, "step": 5}\n': 'line 2',
    b'[1, 2]\n': 'list in place of names and values',
    b'7\n': 'int in place',
    b'{"loss": 1.0, "epoch": 0, "iter": 5, "step": 5}\n': 'epoch is 0',
    b'{"loss": 1.0, "epoch": 1, "iter": 1e999, "step": 5}\n': 'iter is inf',
    b'{"loss": 1.0, "epoch": 1, "iter": 1' + b'0' * 400 + b'}\n': 'iter is 1',
    b'{"loss": 1' + b'0' * 5000 + b'}\n': '4300 digits',
    b'{"loss": 1' + b'0' * 400 + b', "step": 3}\n': 'loss is too large',
    b'{"loss": "x", "epoch": 1, "iter": 5, "step": 5}\n': 'loss is a str',
    b'{"knn/top1": null, "step": 1}\n': 'knn/top1 is a NoneType',
    b'{"knn/top1": 3.0}\n': 'it has no step',
    b'\xff\xfe\n': "can't decode",
    b'[' * 100000 + b'\n': 'recursion',
}


@pytest.mark.parametrize('line', BAD, ids=BAD.values())
def test_bad_line_is_left_out(tmp_path, line):
    folder = write_part(tmp_path, '20260101_000000', [1, 2], 4., 50.)
    path = folder / 'scalars.json'
    first, rest = path.read_bytes().split(b'\n', 1)
    path.write_bytes(first + b'\n' + line + rest)
    with pytest.warns(UserWarning, match=f'line 2 of {path}') as told:
        log = read_run(str(tmp_path))
    assert BAD[line] in str(told[0].message)
    assert '\n' not in str(told[0].message)
    assert log.loss_by_epoch() == ([1, 2], [6., 6.])
    assert log.knn_by_epoch() == ([1, 2], [51., 52.])


def test_other_damaged_files_are_left_out(tmp_path):
    write_part(tmp_path, '20260101_000000', [1], 4., 50., config='a = 1')
    folder = write_part(tmp_path, '20260102_000000', [2], 4., 50.)
    (folder / 'run.json').write_bytes(b'{"epoch_len')
    (folder / 'config.py').write_bytes(b'\0\0')
    (tmp_path / 'last_checkpoint').write_bytes(b'\xff\0\0')
    with open(folder / 'scalars.json', 'ab') as file:
        file.write(b'\0\n' * 9)
    with pytest.warns(UserWarning) as told:
        log = read_run(str(tmp_path))
    assert log.loss_by_epoch() == ([1, 2], [6., 6.])
    assert log.record == {} and log.cfg.a == 1 and log.checkpoint is None
    text = '\n'.join(str(one.message) for one in told)
    for name in ('run.json', 'config.py', '6 further lines'):
        assert text.count(name) == 1


def test_numbers_gone_wrong_are_drawn(tmp_path):
    write_part(tmp_path, '20260101_000000', [1], float('nan'), 50., lr=1e999)
    log = read_run(str(tmp_path))
    draw_charts(scalar_charts([log]), str(tmp_path / 'c.png'))
    assert (tmp_path / 'c.png').stat().st_size > 10000


def test_new_run_in_an_old_folder(tmp_path):
    write_part(tmp_path, '20260101_000000', [1, 2, 3], 4., 50.)
    write_part(tmp_path, '20260102_000000', [1, 2], 2., 60.)
    log = read_run(str(tmp_path))
    assert log.loss_by_epoch() == ([1, 2], [4., 4.])
    assert log.knn_by_epoch() == ([1, 2], [61., 62.])
    assert log.untrained_knn == 60.


def test_last_checkpoint_of_a_moved_folder(tmp_path):
    write_part(tmp_path, '20260101_000000', [1], 4., 50.)
    (tmp_path / 'last_checkpoint').write_text('/gone/epoch_1.pth')
    assert read_run(str(tmp_path)).checkpoint is None
    (tmp_path / 'epoch_1.pth').touch()
    assert read_run(str(tmp_path)).checkpoint == str(tmp_path / 'epoch_1.pth')


def test_checkpoints_in_the_order_of_epochs(tmp_path):
    write_part(tmp_path, '20260101_000000', [1], 4., 50.)
    for name in ('epoch_10', 'epoch_9', 'best_knn_top1_epoch_3', 'stopped'):
        (tmp_path / f'{name}.pth').touch()
    assert list(read_run(str(tmp_path)).checkpoints()) == [9, 10]


def test_no_scalars(tmp_path):
    with pytest.raises(FileNotFoundError, match='has no logged losses'):
        read_run(str(tmp_path))


def test_run_that_counts_no_epochs(tmp_path):
    folder = tmp_path / 'now' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('{"loss": 1.0, "iter": 5}\n')
    with pytest.raises(ValueError, match='by_epoch=True'):
        read_run(str(tmp_path))


def test_places_of_logged_numbers(tmp_path):
    folder = write_part(tmp_path, 'a', [1, 2, 3], 4., 50., per_epoch=1, lr=.1)
    log = read_run(str(tmp_path))
    # iteration 10 is of epoch 1, 20 of epoch 2: an epoch has 10 to 19
    assert 10 <= log.epoch_length < 20
    (folder / 'run.json').write_text('{"epoch_length": 10}')
    log = read_run(str(tmp_path))
    assert log.scalar('lr') == ([1., 2., 3.], [.1, .1, .1])
    assert log.scalar('absent') == ([], [])


def test_progress(tmp_path):
    train = 'train_cfg = dict(by_epoch=True, max_epochs={})'
    write_part(tmp_path, 'a', [1, 2], 4., 50., config=train.format(2))
    assert _progress(read_run(str(tmp_path))) == '2 of 2 epochs'
    write_part(tmp_path, 'b', [3], 4., 50., config=train.format(7))
    assert _progress(read_run(str(tmp_path))) == '3 of 7 epochs, unfinished'


def test_every_logged_number_has_a_chart(tmp_path):
    numbers = dict(lr=.1, bank_lr=9., time=30., data_time=.1, unheard_of=2.)
    write_part(tmp_path, 'a', [1, 2], 4., 50., **numbers)
    charts = {c.title: c for c in scalar_charts([read_run(str(tmp_path))])}
    assert list(charts) == [
        'Training loss', 'kNN accuracy', 'Learning rate of the network',
        'Learning rate of the bank', 'Time of a step', 'unheard_of'
    ]
    times = charts['Time of a step']
    # 30 and 0.1 would hide each other on one linear axis
    assert times.log and not charts['Learning rate of the network'].log
    assert [s.name for s in times.series] == ['whole step', 'waiting for data']
    # the title says what it is
    assert [s.name for s in charts['unheard_of'].series] == ['']
    assert charts['unheard_of'].series[0].y == [2.] * 6


def test_several_runs_are_told_apart(tmp_path):
    logs = []
    for name in ('x/run', 'y/run', 'other'):
        more = {} if name == 'x/run' else dict(lr=.1, time=2., data_time=.1)
        write_part(tmp_path / name, 'a', [1], 4., 50., **more)
        logs.append(read_run(str(tmp_path / name)))
    assert labels(logs[1:]) == ['run', 'other'] and labels(logs[:1]) == ['']
    assert labels(logs[:2]) == ['x/run', 'y/run']
    assert labels([logs[0], logs[0]]) == ['run (1)', 'run (2)']
    charts = scalar_charts(logs[1:])
    means = [s for s in charts[0].series if not s.faint]
    assert [s.name for s in means] == ['run', 'other']
    assert len({s.colour for s in means}) == 2
    assert [s.name for s in charts[2].series] == ['run', 'other']


def test_a_run_has_one_colour_in_all_charts(tmp_path):
    logs = []
    for name in ('without', 'with'):
        more = dict(time=2., data_time=.1, bank_lr=3.)
        more = {} if name == 'without' else more
        write_part(tmp_path / name, 'a', [1], 4., 50., **more)
        logs.append(read_run(str(tmp_path / name)))
    charts = {chart.title: chart.series for chart in scalar_charts(logs)}
    colour = charts['Training loss'][-1].colour
    rate, = charts['Learning rate of the bank']
    step, data = charts['Time of a step']
    assert rate.colour == step.colour == data.colour == colour
    assert not step.dashed and data.dashed
    assert data.name == 'with waiting for data'


def test_neighbours_of_knn_are_named(tmp_path):
    hook = 'default_hooks = dict(knn=dict(type="KNNHook"{}))'
    for more, k in (('', 20), (', k=7', 7), (', k=[3, 9]', 3)):
        folder = tmp_path / str(k)
        write_part(folder, 'a', [1], 4., 50., config=hook.format(more))
        log = read_run(str(folder))
        assert log.knn_k == k
        assert knn_chart([log]).title == f'kNN accuracy (k = {k})'


def test_drift_of_a_resumed_run(tmp_path):
    for stamp, epochs in (('a', [1, 2, 3]), ('b', [3, 4])):
        folder = write_part(tmp_path, stamp, epochs, 4., 50.)
        with open(folder / 'scalars.json', 'a') as file:
            for epoch in epochs[stamp == 'b':]:  # resumed in epoch 3
                row = {'bank/drift': len(epochs) + epoch / 8, 'step': epoch}
                file.write(json.dumps(row) + '\n')
    assert read_run(str(tmp_path)).drift == {1: 3.125, 2: 3.25, 4: 2.5}


def test_checkpoint_that_training_has_just_replaced(tmp_path):
    write_part(tmp_path, 'a', [1], 4., 50.)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    torch.save(dict(meta=dict(iter=30)), tmp_path / 'epoch_1.pth')
    log = read_run(str(tmp_path))
    # the note is written last
    torch.save(dict(meta=dict(iter=60)), tmp_path / 'epoch_2.pth')
    (tmp_path / 'epoch_1.pth').unlink()
    features = open_features(log)
    assert features.checkpoint == str(tmp_path / 'epoch_2.pth')
    assert _made_from(log, features) == 'epoch_2.pth, after 2 epochs'
    (tmp_path / 'epoch_2.pth').unlink()
    assert features.content['meta']['iter'] == 60  # open all the same
    assert open_features(log).checkpoint is None
    with pytest.raises(FileNotFoundError):
        open_features(log, str(tmp_path / 'epoch_1.pth'))


def test_curves_are_drawn(tmp_path):
    write_part(tmp_path, '20260101_000000', [1, 2, 3], 4., 50.)
    log = read_run(str(tmp_path))
    path = draw_charts([loss_chart([log]), knn_chart([log])],
                       str(tmp_path / 'curves.png'))
    with Image.open(path) as picture:
        assert picture.width > 2 * picture.height * 0.9  # two panels
        drawn = np.unique(
            np.asarray(picture.convert('RGB')).reshape(-1, 3), axis=0)
    for colour in ((31, 95, 168), (42, 138, 62), (136, 136, 136)):
        assert (drawn == colour).all(1).any(), 'a curve is missing'
    assert [p.name for p in tmp_path.glob('curves*')] == ['curves.png']
