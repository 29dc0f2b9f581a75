"""A checkpoint is whole or absent, and the last good one is found."""
import os
import resource
import shutil
import signal
import subprocess
import time

import pytest
from mmengine.fileio import LocalBackend

from caco_ext.utils.files import is_whole, resumable, write_whole
from .runs import assert_same, in_child, read, train


def damage(path, how):
    """Cut a file, turn one of its bits, empty it."""
    size = path.stat().st_size
    with open(path, 'r+b') as file:
        if how == 'cut':
            file.truncate(size * 2 // 3)
        elif how == 'empty':
            file.truncate(0)
        else:
            file.seek(size // 2)
            byte = file.read(1)[0]
            file.seek(size // 2)
            file.write(bytes([byte ^ 4]))


@pytest.fixture
def finished(reference, tmp_path):
    """A copy of a finished run, as if its last epoch still had to come."""
    folder = tmp_path / 'run'
    shutil.copytree(reference('CaCo'), folder)
    lines = (folder / 'record0.jsonl').read_text().splitlines(True)
    (folder / 'record0.jsonl').write_text(''.join(lines[:3]))
    return folder


@pytest.mark.parametrize('how', ['cut', 'bit', 'empty'])
def test_resumes_from_the_last_that_is_whole(how, data, reference, finished):
    damage(finished / 'epoch_2.pth', how)
    train(data, finished, 'CaCo', resume=True)
    assert_same(finished, reference('CaCo'))


def test_note_that_names_nothing(data, reference, finished):
    """The run was moved, or killed between the file and the note."""
    (finished / 'epoch_2.pth').unlink()
    for note in ('/gone/epoch_1.pth', None):
        if note is None:
            (finished / 'last_checkpoint').unlink()
        else:
            (finished / 'last_checkpoint').write_text(note)
        assert next(iter(resumable(str(finished)))) == str(finished /
                                                           'epoch_1.pth')
    train(data, finished, 'CaCo', resume=True)
    assert_same(finished, reference('CaCo'))


def test_nothing_whole_is_no_new_start(data, finished):
    damage(finished / 'epoch_1.pth', 'bit')
    damage(finished / 'epoch_2.pth', 'cut')
    with pytest.raises(
            RuntimeError,
            match=r'epoch_2.pth, .*epoch_1.pth are damaged .* start anew'):
        train(data, finished, 'CaCo', resume=True)


def limited(data, folder):
    """No file may grow beyond half a checkpoint after the first epoch."""
    from mmengine.hooks import Hook

    class Limit(Hook):

        def before_train_epoch(self, runner):
            if runner.epoch == 1:
                size = (folder / 'epoch_1.pth').stat().st_size
                resource.setrlimit(resource.RLIMIT_FSIZE,
                                   (size // 2, size // 2))

    try:
        train(data, folder, 'CaCo', [dict(type=Limit)])
    except RuntimeError as error:
        (folder / 'error').write_text(str(error))


def test_file_size_limit(data, reference, tmp_path):
    assert in_child(limited, data, tmp_path) == 0
    error = (tmp_path / 'error').read_text()
    assert 'the last checkpoint of the run, epoch_2.pth, cannot' in error
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_1.pth']
    assert not list(tmp_path.glob('.*part'))
    assert 'epoch_1' in (tmp_path / 'last_checkpoint').read_text()
    lines = (tmp_path / 'record0.jsonl').read_text().splitlines(True)
    (tmp_path / 'record0.jsonl').write_text(''.join(lines[:3]))
    train(data, tmp_path, 'CaCo', resume=True)
    assert_same(tmp_path, reference('CaCo'))


def test_failed_save_in_between_lets_the_run_go_on(data, reference, tmp_path):
    """The folder cannot be written to for a while: an epoch's checkpoint is
    missing, the next is there."""

    def run():
        from mmengine.hooks import Hook

        class Full(Hook):
            priority = 'LOW'

            def after_train_epoch(self, runner):
                resource.setrlimit(
                    resource.RLIMIT_FSIZE,
                    (60_000 if runner.epoch == 0 else resource.RLIM_INFINITY,
                     resource.RLIM_INFINITY))

        train(data, tmp_path, 'CaCo', [dict(type=Full)])

    assert in_child(run) == 0
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_2.pth']
    one, other = (
        read(folder / 'epoch_2.pth')
        for folder in (tmp_path, reference('CaCo')))
    assert one['meta']['iter'] == other['meta']['iter'] == 6
    text = ''.join(p.read_text() for p in tmp_path.glob('*/*.log'))
    assert 'epoch_1.pth cannot be written: [Errno 27] File too large' in text


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte; where nobody may mount one, a limit of
    the process."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder]
    if not subprocess.run(mount).returncode:
        yield folder
        subprocess.run(['umount', folder], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, before[1]))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk(small_disk):
    backend = LocalBackend()
    backend.put(b'a' * 600_000, str(small_disk / 'epoch_1.pth'))
    for name in ('epoch_2.pth', 'epoch_1.pth'):
        with pytest.raises(OSError, match='No space left|File too large'):
            backend.put(b'b' * 1_100_000, str(small_disk / name))
        assert [p.name for p in small_disk.iterdir()] == ['epoch_1.pth']
    assert (small_disk / 'epoch_1.pth').read_bytes() == b'a' * 600_000


def test_sigkill_while_writing(tmp_path):
    """Whenever it comes, the file holds the old content or the new."""
    path = tmp_path / 'epoch_1.pth'
    contents = [bytes([i]) * 40_000_000 for i in (1, 2)]
    write_whole(str(path), contents[0])
    seen, cut = set(), 0
    for delay in (.002, .01, .02, .04, .08, .3):
        pid = os.fork()
        if not pid:
            while True:
                for content in contents:
                    write_whole(str(path), content)
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert path.read_bytes() in contents
        seen.add(path.read_bytes()[0])
        cut += len(list(tmp_path.glob('.*.part')))
    # some were killed in the middle
    assert cut


def test_parts_of_killed_writers_are_removed(data, tmp_path):
    (tmp_path / '.epoch_1.pth.123.part').write_bytes(b'half')
    train(data, tmp_path, 'CLSA', default_hooks__checkpoint__max_keep_ckpts=1)
    assert not list(tmp_path.glob('.*part'))
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_2.pth']


def test_is_whole(reference, tmp_path):
    path = tmp_path / 'epoch_2.pth'
    for how in ('cut', 'bit', 'empty'):
        shutil.copy(reference('CaCo') / 'epoch_2.pth', path)
        assert is_whole(str(path))
        damage(path, how)
        assert not is_whole(str(path))
    assert not is_whole(str(tmp_path / 'gone.pth'))


def test_write_whole_follows_links(tmp_path):
    (tmp_path / 'real').write_bytes(b'old')
    (tmp_path / 'link').symlink_to('real')
    write_whole(str(tmp_path / 'link'), 'new')
    assert (tmp_path / 'link').is_symlink()
    assert (tmp_path / 'real').read_text() == 'new'
