"""A run that is stopped and resumed equals one that never was, bit by bit."""
import multiprocessing
import os
import signal
import subprocess
import time

import pytest
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from tests.helpers.tiny_runs import (METHODS, assert_same, differences,
                                     in_child, read, record, stopped, train)
from .test_finite import poison

pytestmark = pytest.mark.slow

# The fill takes 5 steps, an epoch 3 iterations.
MOMENTS = dict(
    AdCo=[('fill', 2), ('iter', 1), ('iter', 6)],
    CaCo=[('fill', 4), ('iter', 3), ('iter', 5), ('epoch', 1)],
    CLSA=[('iter', 2), ('iter', 4), ('epoch', 1)],
    CARE=[('iter', 3), ('iter', 5), ('epoch', 1)])


def told(moment, number, **options):
    return dict(
        type='ReliabilitySignal', moment=moment, number=number, **options)


@pytest.mark.slow
@pytest.mark.parametrize('method', METHODS)
def test_sigterm_at_any_moment(method, data, reference, tmp_path):
    for moment, number in MOMENTS[method]:
        folder = tmp_path / f'{moment}{number}'
        status = stopped(data, folder, method, [told(moment, number)])
        assert status == 128 + signal.SIGTERM, (moment, number)
        assert (folder / 'stopped.pth').exists()
        # the same command, without --resume
        train(data, folder, method)
        assert_same(folder, reference(method))
        # nothing is left that would make the next start resume
        assert not (folder / 'stopped.pth').exists()
        assert (folder / 'last_checkpoint').read_text().endswith('epoch_2.pth')


def test_loss_scaler(data, tmp_path):
    """Its scale and its count of good steps are those of the run."""
    infinite = poison('gradient', 2, value=float('inf'))
    train(data, tmp_path / 'whole', 'CARE', [infinite])
    folder = tmp_path / 'stopped'
    assert stopped(data, folder, 'CARE', [infinite, told('iter', 4)]) == 143
    scaler = read(folder / 'stopped.pth')['optimizer']['loss_scaler']
    assert (scaler['scale'], scaler['_growth_tracker']) == (2.**15, 2)
    runner = train(data, folder, 'CARE', [infinite])
    assert runner.optim_wrapper.loss_scaler.get_scale() == 2.**15
    assert_same(folder, tmp_path / 'whole')
    scaler = read(folder / 'epoch_2.pth')['optimizer']['loss_scaler']
    assert (scaler['scale'], scaler['_growth_tracker']) == (2.**15, 4)


def test_stopped_again_and_again(data, reference, tmp_path):
    for moment, number in (('fill', 1), ('fill', 2), ('iter', 2), ('iter', 4),
                           ('iter', 5)):
        if moment == 'fill':
            number = 1  # counted from each start
        status = stopped(data, tmp_path, 'CaCo', [told(moment, number)])
        assert status == 143
    train(data, tmp_path, 'CaCo')
    assert_same(tmp_path, reference('CaCo'))


@pytest.mark.slow
@pytest.mark.parametrize('method, number', [('AdCo', 5), ('CaCo', 6),
                                            ('CLSA', 4), ('CARE', 3)])
def test_sigkill(method, number, data, reference, tmp_path):
    """On from the last checkpoint, here one of every second iteration."""
    options = dict(
        default_hooks__checkpoint__interval=2,
        default_hooks__checkpoint__by_epoch=False,
        default_hooks__checkpoint__max_keep_ckpts=2)
    killed = in_child(train, data, tmp_path, method,
                      [told('iter', number, what='SIGKILL')], **options)
    assert killed == -signal.SIGKILL
    # the signal came before the checkpoint of its own iteration
    last = (tmp_path / 'last_checkpoint').read_text()
    assert last.endswith(f'iter_{(number - 1) // 2 * 2}.pth')
    train(data, tmp_path, method, resume=True, **options)
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == [
        'iter_4.pth', 'iter_6.pth'
    ]
    os.rename(tmp_path / 'iter_6.pth', tmp_path / 'epoch_2.pth')
    # An epoch's checkpoint stands for no iteration of the next.
    changed = read(tmp_path / 'epoch_2.pth')
    assert changed['run_state'].pop('batches_done') == 3
    whole = read(reference(method) / 'epoch_2.pth')
    assert whole['run_state'].pop('batches_done') == 0
    assert record(tmp_path) == record(reference(method))
    for key in ('state_dict', 'optimizer', 'run_state'):
        assert not differences(changed[key], whole[key])


def test_sigkill_in_the_fill(data, reference, tmp_path):
    assert in_child(train, data, tmp_path, 'AdCo',
                    [told('fill', 3, what='SIGKILL')]) == -9
    train(data, tmp_path, 'AdCo', resume=True)
    assert_same(tmp_path, reference('AdCo'))


def test_accumulation_stops_at_the_step(data, tmp_path):
    options = dict(optim_wrapper__accumulative_counts=2)
    train(data, tmp_path / 'whole', 'CaCo', **options)
    # Epochs of three: their checkpoints wait for the fourth iteration.
    assert read(tmp_path / 'whole/epoch_1.pth')['meta']['iter'] == 4
    folder = tmp_path / 'stopped'
    assert stopped(data, folder, 'CaCo', [told('iter', 3)], **options) == 143
    assert read(folder / 'stopped.pth')['meta']['iter'] == 4
    train(data, folder, 'CaCo', **options)
    assert_same(folder, tmp_path / 'whole')
    os.unlink(folder / 'epoch_2.pth')
    (folder / 'record0.jsonl').unlink()
    train(
        data,
        folder,
        'CaCo',
        resume=True,
        load_from=str(folder / 'epoch_1.pth'),
        **options)
    assert sorted(record(folder)) == [4, 5]
    one, other = (
        read(path / 'epoch_2.pth') for path in (folder, tmp_path / 'whole'))
    assert not differences(one['state_dict'], other['state_dict'])


def kill_all(group, number):
    """A stranger signals a group of processes."""
    subprocess.run(['kill', f'-{int(number)}', '--', f'-{group}'],
                   start_new_session=True,
                   check=True)


def train_with_workers(data, work_dir):
    """Stopped by a signal to all processes of the job, as schedulers do."""
    os.setpgid(0, 0)
    options = dict(
        train_dataloader__num_workers=2,
        train_dataloader__persistent_workers=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, 'kill', kill_all)
        status = stopped(data, work_dir, 'CLSA', [told('iter', 4)], **options)
    raise SystemExit(status)


def test_loader_workers_outlive_the_signal(data, reference, tmp_path):
    process = multiprocessing.get_context('fork').Process(
        target=train_with_workers, args=(data, tmp_path), daemon=False)
    process.start()
    # and they end with it
    process.join(30)
    assert process.exitcode == 143
    train(data, tmp_path, 'CLSA')
    assert_same(tmp_path, reference('CLSA'))


@HOOKS.register_module(name='ReliabilityFork')
class Fork(Hook):
    """Starts a process as an evaluation's pool does, and ends it."""
    exit_codes = set()

    def after_train_iter(self, *args, **kwargs):
        context = multiprocessing.get_context('fork')
        for _ in range(5):
            child = context.Process(target=time.sleep, args=(60, ))
            child.start()
            # At once: Python forgets signals that come while it forks.
            child.terminate()
            child.join(10)
            self.exit_codes.add(child.exitcode)
            child.kill()


@pytest.mark.slow
def test_forked_children_end_by_the_signal(data, tmp_path):
    train(data, tmp_path, 'CLSA', [dict(type='ReliabilityFork')])
    assert Fork.exit_codes == {-signal.SIGTERM}
