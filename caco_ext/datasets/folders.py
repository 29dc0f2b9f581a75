"""List a folder and find out what its entries are."""
import os
import os.path as osp
import stat
from typing import List


def list_folder(folder: str) -> List[os.DirEntry]:
    """List the visible entries of a folder.

    Args:
        folder (str): The folder.

    Returns:
        list[os.DirEntry]: Sorted by name.

    Raises:
        ValueError: It cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            entries = [e for e in found if not e.name.startswith('.')]
    except OSError as error:
        raise ValueError(
            f'the folder {folder!r} cannot be read ({error.strerror}); mend '
            'it or take it out of the data set') from error
    return sorted(entries, key=lambda entry: entry.name)


def is_folder(entry: os.DirEntry) -> bool:
    """Whether an entry is a folder or a link to one.

    Args:
        entry (os.DirEntry): The entry. Only links need a disk access.

    Returns:
        bool: Also False if a link leads in a circle.
    """
    try:
        return entry.is_dir()
    except OSError:
        return False


def kind_of(entry: os.DirEntry) -> str:
    """Kind of an entry that is not a folder.

    Args:
        entry (os.DirEntry): The entry. Only links need a disk access.

    Returns:
        str: 'file', 'dead link', or 'FIFO, socket or device'. Reading the
        last kind may never end.
    """
    try:
        if entry.is_file():
            return 'file'
        mode = entry.stat().st_mode
    except OSError:
        return 'dead link'
    return 'file' if stat.S_ISREG(mode) else 'FIFO, socket or device'


def inner_folder(folder: str) -> str:
    """Descend through folders that hold only one other folder.

    Args:
        folder (str): Where to begin.

    Returns:
        str: The first folder that holds anything else.
    """
    while True:
        entries = list_folder(folder)
        if len(entries) != 1 or not is_folder(entries[0]):
            return folder
        folder = osp.join(folder, entries[0].name)
