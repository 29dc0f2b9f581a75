"""Reading the LMDB files that ``pack.py`` writes."""
import os
import os.path as osp
from typing import Any, Dict, List

from .container import Container, Contents
from .lmdb_format import import_lmdb, read_header, read_record, read_tables
from .lmdb_pages import check_pages


def fits_memory(path: str) -> bool:
    """Whether the page cache can hold a file beside a training.

    Args:
        path (str): The file.

    Returns:
        bool: True up to half of the machine's memory.
    """
    memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    return osp.getsize(path) <= memory // 2


def open_for_reading(path: str, readahead: bool = True) -> Any:
    """Open an LMDB file without locks, safely.

    Args:
        path (str): The file.
        readahead (bool): Let the kernel read more than is asked for. Defaults
            to True.

    Returns:
        lmdb.Environment: Opened read-only.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no LMDB file or a truncated one.
    """
    lmdb = import_lmdb()
    if not osp.isfile(path):
        raise FileNotFoundError(f'there is no LMDB file {path!r}; set '
                                'data_root to an existing one')
    try:
        env = lmdb.open(
            path, subdir=False, readonly=True, lock=False, readahead=readahead)
    except lmdb.Error as error:
        raise ValueError(f'{path!r} is no LMDB file ({error}); make one with '
                         'tools/dataset_converters/pack.py') from error
    needed = (env.info()['last_pgno'] + 1) * env.stat()['psize']
    if os.path.getsize(path) < needed:
        env.close()
        # reading past the end of a memory map would kill the process
        raise ValueError(
            f'{path!r} is truncated ({os.path.getsize(path)} of {needed} '
            'bytes); copy it again or run pack.py on it again')
    return env


# LMDB allows a file to be opened once per process, and several data sets may
# read the same one (training, and its share for kNN).
_OPENED: Dict[str, Any] = {}


def close_all() -> None:
    """Close what this process has open; the next access opens it again."""
    while _OPENED:
        _OPENED.popitem()[1].close()


# An environment must not be carried across a fork: the workers that read from
# it would kill each other's transactions. So none is open when one happens.
os.register_at_fork(before=close_all)


class LMDBSource(Container):
    """Pictures of one LMDB file, for any number of loader workers.

    The file is opened at the first access in each process. The object itself
    holds no more than a name and can be pickled and copied.

    Args:
        path (str): The file.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = osp.abspath(path)

    def _transaction(self) -> Any:
        if self.path not in _OPENED:
            # Readahead fetches megabytes for a picture: good where they stay
            # until they are asked for. Without it each page of a record is
            # fetched by itself. See docs/own_data.md for both.
            readahead = osp.isfile(self.path) and fits_memory(self.path)
            _OPENED[self.path] = open_for_reading(self.path, readahead)
        return _OPENED[self.path].begin(buffers=True)

    def contents(self, with_labels: bool = True) -> Contents:
        """See :meth:`Container.contents`.

        Raises:
            ValueError: The conversion did not end, the file is damaged, or
                its classes are parts of a data set.
        """
        with self._transaction() as txn:
            check_pages(self.path)
            # without entries: interrupted before the first commit
            header = txn.stat()['entries'] and read_header(txn, self.path)
            if not header or not header['complete']:
                raise ValueError(
                    f'the conversion to {self.path!r} did not end; run '
                    'pack.py with the same arguments again to resume')
            labels, paths = read_tables(txn, header, self.path)
        paths = [osp.join(self.path, path) for path in paths]
        return Contents(paths, labels, header['classes'])

    def files(self) -> List[str]:
        """See :meth:`Container.files`."""
        return [self.path]

    def load(self, index: int, name: str) -> Dict[str, Any]:
        """See :meth:`Container.load`."""
        return dict(img_bytes=self.get(index, name))

    def get(self, index: int, name: str) -> bytes:
        """Content of one picture file.

        Args:
            index (int): Its number in the file.
            name (str): Its path, for error messages.

        Returns:
            bytes: The content.

        Raises:
            BrokenPictureError: If the record is missing or damaged.
        """
        with self._transaction() as txn:
            return read_record(txn, index, name)
