"""Files that are whole or absent, and checkpoints that can be trusted."""
import os
import os.path as osp
import re
import zipfile
from glob import escape, glob
from typing import Iterator, Union

# What a run saves that a signal stops.
STOPPED = 'stopped.pth'
# What a run writes to be resumed from; best_*.pth lacks the optimizer.
_RESUMABLE = re.compile(r'((epoch|iter)_\d+|stopped)\.pth')


def write_whole(path: str, data: Union[bytes, memoryview, str]) -> None:
    """Write a file so that a crash at any moment leaves the old one or the
    new one.

    The data goes to a hidden file beside it, is forced to the disk and takes
    the name in one step. A link is followed.

    Args:
        path (str): Where; the folder exists.
        data (bytes | memoryview | str): The whole content.

    Raises:
        OSError: It cannot be written; what was there is still there.
    """
    path = osp.realpath(path)
    folder, name = osp.split(path)
    part = osp.join(folder, f'.{name}.{os.getpid()}.part')
    try:
        with open(part, 'wb') as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        if osp.exists(part):
            os.unlink(part)
        raise
    # the name is in the folder, which is a file of its own
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_parts(folder: str) -> None:
    """Remove what processes left that were killed in :func:`write_whole`.

    Args:
        folder (str): Where. No other process writes there now.
    """
    for path in glob(osp.join(escape(folder), '.*.pth.*.part')):
        os.unlink(path)


def is_whole(path: str) -> bool:
    """Whether a file of ``torch.save`` is complete and undamaged.

    Args:
        path (str): The file. It is read once, and compared with the sums
            that it holds.

    Returns:
        bool: Whether it can be relied on.
    """
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except (OSError, zipfile.BadZipFile, ValueError, EOFError,
            NotImplementedError):
        # A damaged header can name a compression that zipfile does not have:
        # its NotImplementedError is one more sign of damage.
        return False


def resumable(folder: str) -> Iterator[str]:
    """Checkpoints in a work folder from which a run can go on.

    Args:
        folder (str): The work folder.

    Yields:
        str: A path; first the one that ``last_checkpoint`` names, then the
        others, the newest first. They may be damaged.
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
        bool: True where it is to go on from ``stopped.pth``.
    """
    note = osp.join(folder, 'last_checkpoint')
    if not osp.isfile(note):
        return False
    with open(note, errors='replace') as file:
        return osp.basename(file.read().strip()) == STOPPED
