"""One run at a time in a work folder."""
import fcntl
import logging
import os
import os.path as osp
import socket
import time
from contextlib import contextmanager, suppress
from typing import Dict, Iterator

from mmengine.logging import print_log

from .errors import UsageError

NAME = '.run.lock'
# Handles of the locks that this process holds, by the folder's real path.
_held: Dict[str, int] = {}


def _drop_locks() -> None:
    """Close the locks in a forked child, such as a loader's worker. It may
    outlive a killed parent."""
    for handle in _held.values():
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_drop_locks)


@contextmanager
def hold(folder: str) -> Iterator[None]:
    """Lock a work folder against other runs.

    The system releases the lock when this process ends, however it ends. If
    the process already holds the lock, nothing happens. A file system without
    locks causes a warning.

    Args:
        folder (str): The work folder. It is created if missing.

    Yields:
        None: Inside, the folder is locked.

    Raises:
        UsageError: Another process holds it, or the folder cannot be written
            to.
    """
    folder = osp.realpath(folder)
    if folder in _held:
        yield
        return
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UsageError(_unwritable(folder, str(error.strerror))) from error
    if not os.access(folder, os.W_OK):
        raise UsageError(_unwritable(folder, 'no permission'))
    _lock(folder)
    try:
        yield
    finally:
        handle = _held.pop(folder, None)
        if handle is not None:
            os.close(handle)


def _unwritable(folder: str, why: str) -> str:
    return (f'nothing can be written to the work folder {folder!r}: {why}; '
            'name another one with --work-dir')


def _lock(folder: str) -> None:
    path = osp.join(folder, NAME)
    handle = -1
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(handle, 1000, 0).decode(errors='replace').strip()
        os.close(handle)
        raise UsageError(
            f'another run trains in {folder!r}: '
            f'{owner or "it does not say which"}; wait for it, end it, or '
            'name another folder with --work-dir') from error
    except OSError as error:
        if handle >= 0:
            os.close(handle)
        print_log(
            f'{path} cannot be locked: {error.strerror}; see to it that no '
            'other run uses this folder',
            'current',
            level=logging.WARNING)
        return
    _held[folder] = handle
    with suppress(OSError):  # on a full disk the lock works without a note
        os.ftruncate(handle, 0)
        text = (f'process {os.getpid()} on {socket.gethostname()}, since '
                f'{time.strftime("%Y-%m-%d %H:%M:%S")}\n')
        os.pwrite(handle, text.encode(), 0)
