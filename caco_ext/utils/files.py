"""Write files in one step, and find checkpoints that are undamaged."""
import fcntl
import os
import os.path as osp
import re
import zipfile
from contextlib import contextmanager
from glob import escape, glob
from typing import Callable, Iterator, Union

from .errors import UsageError

# The checkpoint of a run that a signal has stopped.
STOPPED = 'stopped.pth'
# Checkpoints that a run can resume from; best_*.pth lacks the optimizer.
_RESUMABLE = re.compile(r'((epoch|iter)_\d+|stopped)\.pth')
Data = Union[bytes, memoryview, str, Callable[[str], None]]


def check_output(path: str, *inputs: str) -> None:
    """Refuse a file that must not or cannot be written, before the work.

    Args:
        path (str): The file to write.
        *inputs (str): Files that must stay unchanged, such as inputs. The
            output must not be one of them, even under another name or
            through a link.

    Raises:
        UsageError: It is an input, a folder, a device or a pipe, or it or
            its folder is read-only.
    """
    for source in inputs:
        if osp.realpath(path) == osp.realpath(source) or (
                osp.exists(path) and osp.exists(source)
                and osp.samefile(path, source)):
            raise UsageError(f'{path!r} is the file {source!r} itself, which '
                             'would be lost; name another one')
    problem = _output_problem(osp.realpath(path))
    if problem:
        raise UsageError(f'{path!r} {problem}')


def _output_problem(path: str) -> str:
    """Why a file (links followed) cannot be written; empty if it can."""
    if osp.isdir(path):
        return 'is a folder; name a file'
    if osp.islink(path):
        return 'is a link to itself; name a file'
    if osp.exists(path):
        if not osp.isfile(path):
            return 'is a device or a pipe; name a file'
        # root could write to a read-only file, but should not.
        if not (os.stat(path).st_mode & 0o222 and os.access(path, os.W_OK)):
            return 'is read-only; name another file'
    folder = osp.dirname(path)
    while not osp.exists(folder):
        folder = osp.dirname(folder)
    if not osp.isdir(folder):
        return f'cannot be made: {folder!r} is no folder'
    if not (os.stat(folder).st_mode & 0o222 and os.access(folder, os.W_OK)):
        return f'cannot be made: the folder {folder!r} is read-only'
    return ''


def write_whole(path: str, data: Data) -> None:
    """Write a file so that a crash at any moment leaves the old one or the
    new one.

    The data goes to a hidden file beside it, is forced to the disk, and gets
    the name in one step. A link is followed. A missing folder is created.

    Args:
        path (str): Where.
        data (bytes | memoryview | str | Callable[[str], None]): The whole
            content, or a function that writes it to the path that it gets.

    Raises:
        OSError: It cannot be written. An old file is unchanged.
    """
    path = osp.realpath(path)
    problem = _output_problem(path)
    if problem:
        raise PermissionError(f'{path!r} {problem}')
    folder, name = osp.split(path)
    os.makedirs(folder, exist_ok=True)
    part = osp.join(folder, f'.{name}.{os.getpid()}.part')
    try:
        if callable(data):
            data(part)
        else:
            with open(part, 'wb') as file:
                file.write(data.encode() if isinstance(data, str) else data)
        _sync(part)
        os.replace(part, path)
    except BaseException:
        if osp.exists(part):
            os.unlink(part)
        raise
    # The folder holds the new name, so it must be forced to the disk, too.
    _sync(folder)


@contextmanager
def take_turns(path: str) -> Iterator[None]:
    """Let one process after another do something; the others wait.

    Args:
        path (str): A file that says what. It is made if it is missing, with
            its folder, and stays.

    Raises:
        OSError: It cannot be made.
    """
    os.makedirs(osp.dirname(path), exist_ok=True)
    with open(path, 'a') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sync(path: str) -> None:
    """Force a file or a folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_parts(folder: str) -> None:
    """Remove hidden files of processes killed in :func:`write_whole`.

    Args:
        folder (str): The folder. No other process may write there now.
    """
    for path in glob(osp.join(escape(folder), '.*.pth.*.part')):
        os.unlink(path)


def damage_of(path: str) -> str:
    """Describe the damage of a file of ``torch.save``.

    Args:
        path (str): The file. It is read once, and its checksums are verified.

    Returns:
        str: Such as "'x/data/0' does not have its sum"; empty for an intact
        file.
    """
    try:
        with zipfile.ZipFile(path) as file:
            parts = file.infolist()
            size = sum(part.file_size for part in parts)
            if size > osp.getsize(path):
                # torch.save does not compress.
                return (f'its parts would take {size / 2**30:.2f} GiB, more '
                        'than the file has')
            if not any(part.CRC for part in parts):
                return ''  # torch.serialization.set_crc32_options(False)
            broken = file.testzip()
    except Exception as error:
        # Damaged headers raise errors of many types: they may name an unknown
        # compression or a password.
        return f'{type(error).__name__}: {" ".join(str(error).split())}'
    return f'{broken!r} does not have its sum' if broken else ''


def is_whole(path: str) -> bool:
    """Whether a file of ``torch.save`` is complete and undamaged.

    Args:
        path (str): See :func:`damage_of`.

    Returns:
        bool: True if so.
    """
    return not damage_of(path)


def resumable(folder: str) -> Iterator[str]:
    """Checkpoints in a work folder that a run can resume from.

    Args:
        folder (str): The work folder.

    Yields:
        str: A path. The one that ``last_checkpoint`` names comes first, then
        the others, newest first. They may be damaged.
    """
    last = None
    named = osp.join(folder, 'last_checkpoint')
    if osp.isfile(named):
        with open(named, errors='replace') as file:
            last = file.read().strip()
    if last:
        # The work folder may have been moved or copied.
        here = osp.join(folder, osp.basename(last))
        last = here if osp.exists(here) or not osp.exists(last) else last
        yield last
        folder = osp.dirname(last)
    others = [
        entry for entry in (os.scandir(folder) if osp.isdir(folder) else [])
        if _RESUMABLE.fullmatch(entry.name) and entry.path != last
    ]
    others.sort(key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
    for entry in others:
        yield entry.path


def was_stopped(folder: str) -> bool:
    """Whether a signal stopped the last run in a work folder.

    Args:
        folder (str): The work folder.

    Returns:
        bool: True if it should resume from ``stopped.pth``.
    """
    note = osp.join(folder, 'last_checkpoint')
    if not osp.isfile(note):
        return False
    with open(note, errors='replace') as file:
        return osp.basename(file.read().strip()) == STOPPED
