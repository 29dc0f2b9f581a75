"""Disks that are full or read-only, at the start, for a while, to the end."""
import json
import os
import resource
import subprocess
from pathlib import Path

import pytest
from mmengine.fileio import LocalBackend
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from tests.helpers.tiny_runs import assert_same_end, in_child, stopped, train

pytestmark = pytest.mark.slow

UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def mounted(folder):
    """A file system of its own there, where this process may mount one."""
    folder.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', folder]
    return not subprocess.run(mount, stderr=subprocess.DEVNULL).returncode


@pytest.fixture
def disk(tmp_path):
    """A disk of 24 megabytes; where nobody may mount one, a folder."""
    folder = tmp_path / 'disk'
    own = mounted(folder)
    yield folder
    if own:
        subprocess.run(['umount', '-l', folder], check=True)


def fill(disk):
    """Leave no room; where the disk is not its own, forbid this process to
    write to files."""
    if not os.path.ismount(disk):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, UNLIMITED[1]))
        return
    with open(disk / 'filler', 'wb', buffering=0) as file:
        with pytest.raises(OSError, match='No space left'):
            while True:
                file.write(bytes(4096))


def free(disk):
    resource.setrlimit(resource.RLIMIT_FSIZE, UNLIMITED)
    if (disk / 'filler').exists():
        (disk / 'filler').unlink()


@HOOKS.register_module(name='ReliabilityFull')
class Full(Hook):
    """Fills the disk before one iteration, frees it behind another.

    Args:
        disk (str): Of :func:`disk`.
        first (int): From 0; -1 is before the run.
        last (int): From 0.
    """

    changes_numbers = False

    priority = 'LOWEST'

    def __init__(self, disk, first, last):
        self.disk, self.first, self.last = Path(disk), first, last

    def before_run(self, runner):
        if self.first < 0:
            fill(self.disk)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.first:
            fill(self.disk)

    def after_train_iter(self, runner, *args, **kwargs):
        if runner.iter == self.last:
            free(self.disk)


def options(disk, first, last):
    """Without the record, which would be written to the disk as well."""
    return dict(
        custom_hooks=[
            dict(
                type='ReliabilityFull', disk=str(disk), first=first, last=last)
        ],
        log_level='WARNING',
        visualizer=dict(
            type='Visualizer',
            vis_backends=[
                dict(type='LocalVisBackend'),
                dict(type='TensorboardVisBackend')
            ]))


def log(folder):
    return ''.join(p.read_text() for p in folder.glob('*/*.log'))


def test_full_for_a_while(disk, data, reference):
    """An epoch's checkpoint is missing, and the run goes on."""
    folder = disk / 'run'
    status = in_child(train, data, folder, 'CaCo', **options(disk, 1, 3))
    assert status == 0
    assert [p.name for p in folder.glob('*.pth')] == ['epoch_2.pth']
    assert not list(folder.glob('.*.part'))
    assert (folder / 'last_checkpoint').read_text().endswith('epoch_2.pth')
    assert_same_end(folder, reference('CaCo'))
    scalars, = folder.glob('*/vis_data/scalars.json')
    lines = scalars.read_text().splitlines()
    assert [json.loads(line)['step'] for line in lines[-2:]] == [5, 6]
    assert 'epoch_1.pth cannot be written: ' in log(folder)


def test_full_to_the_end(disk, data, reference, tmp_path):
    """The last good checkpoint stays and is found."""
    folder = disk / 'run'

    def run():
        with pytest.raises(
                RuntimeError,
                match='the last checkpoint of the run, epoch_2.pth, cannot be '
                'written .*Make room and go on with --resume'):
            train(data, folder, 'AdCo', **options(disk, 4, 9))

    assert in_child(run) == 0
    free(disk)
    assert [p.name for p in folder.glob('*.pth')] == ['epoch_1.pth']
    assert (folder / 'last_checkpoint').read_text().endswith('epoch_1.pth')
    train(data, folder, 'AdCo', resume=True)
    assert_same_end(folder, reference('AdCo'))


def test_signal_while_it_is_full(disk, data, reference):
    folder = disk / 'run'

    def run():
        changes = options(disk, 3, 9)
        changes['custom_hooks'].append(
            dict(type='ReliabilitySignal', moment='iter', number=5))
        assert stopped(data, folder, 'CLSA', **changes) == 143

    assert in_child(run) == 0
    free(disk)
    assert [p.name for p in folder.glob('*.pth')] == ['epoch_1.pth']
    train(data, folder, 'CLSA', resume=True)
    assert_same_end(folder, reference('CLSA'))


def test_refused_at_the_start(disk, data, tmp_path):
    """Not after the hours that the first checkpoint takes."""

    changes = options(disk, -1, 9)
    changes['default_hooks__checkpoint__out_dir'] = str(disk)

    def run():
        with pytest.raises(
                OSError,
                match='(No space left|too large).*could not be written to '
                ".*disk/run'; make room there, or name another folder"):
            train(data, tmp_path / 'run', 'CLSA', **changes)

    assert in_child(run) == 0
    assert not list(disk.glob('*/*'))


def test_full_disk_keeps_what_was_there(disk):
    backend = LocalBackend()
    backend.put(b'a' * 600_000, str(disk / 'epoch_1.pth'))

    def run():
        fill(disk)
        for name in ('epoch_2.pth', 'epoch_1.pth'):
            with pytest.raises(OSError, match='No space left|File too large'):
                backend.put(b'b' * 1_100_000, str(disk / name))

    assert in_child(run) == 0
    assert {p.name for p in disk.iterdir()} <= {'epoch_1.pth', 'filler'}
    assert (disk / 'epoch_1.pth').read_bytes() == b'a' * 600_000


def test_file_size_limit(data, reference, tmp_path):
    """No file may grow beyond half a checkpoint after the first epoch."""

    class Limit(Hook):

        def before_train_epoch(self, runner):
            if runner.epoch == 1:
                size = (tmp_path / 'epoch_1.pth').stat().st_size
                resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, ) * 2)

    def run():
        with pytest.raises(RuntimeError, match='the last checkpoint of the'):
            train(data, tmp_path, 'CARE', [dict(type=Limit)])

    assert in_child(run) == 0
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_1.pth']
    assert not list(tmp_path.glob('.*part'))
    train(data, tmp_path, 'CARE', resume=True)
    assert_same_end(tmp_path, reference('CARE'))
    assert 'epoch_2.pth cannot be written: [Errno 27] File too large' in \
        log(tmp_path)
