"""List a folder, and tell what its entries are."""
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
        entry (os.DirEntry): The entry. Asks the disk for links only.

    Returns:
        bool: False too where a link leads in a circle.
    """
    try:
        return entry.is_dir()
    except OSError:
        return False


def kind_of(entry: os.DirEntry) -> str:
    """Tell what an entry is that is no folder.

    Args:
        entry (os.DirEntry): The entry. Asks the disk for links only.

    Returns:
        str: 'file', 'dead link', or 'FIFO, socket or device', which may
        never end when it is read.
    """
    try:
        if entry.is_file():
            return 'file'
        mode = entry.stat().st_mode
    except OSError:
        return 'dead link'
    return 'file' if stat.S_ISREG(mode) else 'FIFO, socket or device'


def inner_folder(folder: str) -> str:
    """Follow folders that hold one folder and nothing else.

    Args:
        folder (str): Where to begin.

    Returns:
        str: The first folder below that holds anything else.
    """
    while True:
        entries = list_folder(folder)
        if len(entries) != 1 or not is_folder(entries[0]):
            return folder
        folder = osp.join(folder, entries[0].name)
