"""A checkpoint is whole or absent, and the last good one is found."""
import os
import shutil
import signal
import time

import pytest

from caco_ext.utils.files import is_whole, resumable, write_whole
from tests.helpers.tiny_runs import assert_same, train


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
