"""Two runs in one work folder: the second is refused."""
import errno
import fcntl
import os
import signal
import time
from contextlib import contextmanager

import pytest

from caco_ext.utils import UsageError, run_lock
from caco_ext.utils.run_lock import NAME, hold
from tests.helpers.tiny_runs import train


@contextmanager
def other_run(folder, worker=False):
    """A process that holds the lock, and perhaps has forked another one."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        with hold(str(folder)):
            if worker and not os.fork():
                os.setpgid(0, 0)  # lives on for a while, as loaders' may
                os.write(write, b'%10d' % os.getpid())
                time.sleep(20)
                os._exit(0)
            if not worker:
                os.write(write, b'%10d' % 0)
            time.sleep(20)
        os._exit(0)
    left = int(os.read(read, 10))
    try:
        yield pid
    finally:
        for one in filter(None, (pid, left)):
            os.kill(one, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(read)
        os.close(write)


def test_a_second_run_is_refused(data, tmp_path):
    with other_run(tmp_path) as pid:
        with pytest.raises(UsageError) as caught:
            train(data, tmp_path, 'CLSA')
        assert f'another run trains in {str(tmp_path)!r}: process {pid} on ' \
            in str(caught.value)
        assert '--work-dir' in str(caught.value)
        assert '\n' not in str(caught.value)
        assert not list(tmp_path.glob('*.pth'))
        # one beside it is not in the way
        with hold(str(tmp_path / 'beside')):
            pass


def test_a_kill_gives_it_back(tmp_path):
    """At once, also where loaders' workers live on."""
    with other_run(tmp_path, worker=True) as pid:
        with pytest.raises(UsageError), hold(str(tmp_path)):
            pass
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with hold(str(tmp_path)):
            assert (tmp_path /
                    NAME).read_text().startswith(f'process {os.getpid()} on ')


def test_one_process_may_hold_it_twice(tmp_path):
    """tools/train.py takes it before the runner does."""
    with hold(str(tmp_path)):
        with hold(str(tmp_path / '.')):
            pass
        pid = os.fork()
        if not pid:
            try:
                with hold(str(tmp_path)):
                    os._exit(1)
            except UsageError:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    with other_run(tmp_path):
        pass


def test_folders_that_cannot_be_locked(tmp_path, monkeypatch):
    said = []

    def refuse(handle, operation):
        raise OSError(errno.ENOLCK, 'No locks available')

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, 'flock', refuse)
        patch.setattr(run_lock, 'print_log',
                      lambda text, *_, **__: said.append(text))
        with hold(str(tmp_path)):
            pass
    assert 'cannot be locked: No locks available' in said[0]
    (tmp_path / 'file').write_text('')
    with pytest.raises(UsageError, match='nothing can be written .*file/run'):
        with hold(str(tmp_path / 'file' / 'run')):
            pass
    monkeypatch.setattr(os, 'access', lambda path, mode: False)
    with pytest.raises(UsageError, match='no permission; name another one'):
        with hold(str(tmp_path)):
            pass
