"""Reading the LMDB files that ``folder2lmdb.py`` writes.

Format, version 1 (single file, no pickle anywhere):

==============  ==============================================================
key             value
==============  ==============================================================
``__header__``  JSON: format, version, length, classes; for the writer digest
                (of paths, labels, classes), stamps (a digest of sizes and
                dates), written and complete: how far the conversion is
``__labels__``  little-endian int32, one per picture (-1: none)
``__paths__``   JSON list of paths relative to the source
``0``, ``1``..  little-endian uint32 CRC-32 of the rest, then the file's bytes
==============  ==============================================================
"""
import json
import os
import os.path as osp
import struct
import zlib

import numpy as np

from caco_ext.utils.extras import import_extra
from .transforms.loading import BrokenPictureError

FORMAT = 'caco_ext-pictures'
VERSION = 1
HEADER, LABELS, PATHS = b'__header__', b'__labels__', b'__paths__'


def import_lmdb():
    """Import lmdb, which only users of LMDB files need.

    Returns:
        module: The module ``lmdb``.

    Raises:
        ImportError: If it is not installed.
    """
    return import_extra('lmdb', 'lmdb', 'An LMDB file')


def pack_record(data):
    """Make the stored value of one picture.

    Args:
        data (bytes): Content of the picture file.

    Returns:
        bytes: CRC-32 and content.
    """
    return struct.pack('<I', zlib.crc32(data)) + data


def unpack_record(record, name):
    """Check and take apart the stored value of one picture.

    Args:
        record (bytes | None): The value, None where the key is missing.
        name (str): Name for error messages.

    Returns:
        bytes: Content of the picture file.

    Raises:
        BrokenPictureError: If the record is missing or damaged.
    """
    if record is None or len(record) < 4:
        raise BrokenPictureError(name, 'its record is missing')
    data = record[4:]
    if struct.unpack('<I', record[:4])[0] != zlib.crc32(data):
        raise BrokenPictureError(name, 'its record is damaged (CRC-32)')
    return data


def fits_memory(path):
    """Whether the page cache can hold a file beside a training.

    Args:
        path (str): The file.

    Returns:
        bool: True up to half of the machine's memory.
    """
    memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    return osp.getsize(path) <= memory // 2


def open_for_reading(path, readahead=True):
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
                         'tools/dataset_converters/folder2lmdb.py') from error
    needed = (env.info()['last_pgno'] + 1) * env.stat()['psize']
    if os.path.getsize(path) < needed:
        env.close()
        # reading past the end of a memory map would kill the process
        raise ValueError(
            f'{path!r} is truncated ({os.path.getsize(path)} of {needed} '
            'bytes); copy it again or run folder2lmdb.py on it again')
    return env


def read_header(txn, path):
    """Read and check the header.

    Args:
        txn (lmdb.Transaction): Of the open file.
        path (str): Its name, for error messages.

    Returns:
        dict: The header.

    Raises:
        ValueError: If the file has another format or version.
    """
    raw = txn.get(HEADER)
    header = json.loads(raw) if raw else {}
    if header.get('format') != FORMAT:
        raise ValueError(
            f'{path!r} is an LMDB file of another program; make one with '
            'tools/dataset_converters/folder2lmdb.py')
    if header['version'] != VERSION:
        raise ValueError(
            f"{path!r} has format version {header['version']}, this release "
            f'reads version {VERSION}; convert the pictures again')
    return header


def read_tables(txn, header, path):
    """Read and check labels and paths.

    Args:
        txn (lmdb.Transaction): Of the open file.
        header (dict): Its header.
        path (str): Its name, for error messages.

    Returns:
        tuple[list[int], list[str]]: Labels (-1: none) and paths.

    Raises:
        ValueError: If they are missing or do not fit the header.
    """
    try:
        labels = np.frombuffer(txn.get(LABELS) or b'', '<i4').tolist()
        names = json.loads(txn.get(PATHS) or b'')
    except ValueError:
        labels = names = []
    if not (len(labels) == len(names) == header['length'] and min(labels) >= -1
            and max(labels) < len(header['classes'])):
        raise ValueError(
            f'the list of paths or labels of {path!r} is damaged; remove it '
            'and run folder2lmdb.py again')
    return labels, names


# LMDB allows a file to be opened once per process, and several data sets may
# read the same one (training, and its share for kNN).
_OPENED = {}


def close_all():
    """Close what this process has open; the next access opens it again."""
    while _OPENED:
        _OPENED.popitem()[1].close()


# An environment must not be carried across a fork: the workers that read from
# it would kill each other's transactions. So none is open when one happens.
os.register_at_fork(before=close_all)


class LMDBSource:
    """Pictures of one LMDB file, for any number of loader workers.

    The file is opened at the first access in each process. The object itself
    holds no more than a name and can be pickled and copied.

    Args:
        path (str): The file.
    """

    def __init__(self, path):
        self.path = osp.abspath(path)

    def _transaction(self):
        if self.path not in _OPENED:
            # Readahead fetches megabytes for a picture: good where they stay
            # until they are asked for. Without it each page of a record is
            # fetched by itself. See docs/own_data.md for both.
            readahead = osp.isfile(self.path) and fits_memory(self.path)
            _OPENED[self.path] = open_for_reading(self.path, readahead)
        return _OPENED[self.path].begin()

    def read(self, with_labels=None, classes=None):
        """Read the table of contents.

        Args:
            with_labels (bool, optional): True demands labels, False ignores
                them. Defaults to None (take what is there).
            classes (Sequence[str], optional): Names to use for the labels.
                Defaults to None (those in the file).

        Returns:
            tuple[list[str], list[int], list[str]]: Paths, labels (-1: none)
            and class names.

        Raises:
            ValueError: If the conversion did not end, the file is damaged or
                does not have the labels asked for.
        """
        with self._transaction() as txn:
            header = read_header(txn, self.path)
            if not header['complete']:
                raise ValueError(
                    f'the conversion to {self.path!r} did not end; run '
                    'folder2lmdb.py with the same arguments again to resume')
            labels, paths = read_tables(txn, header, self.path)
        paths = [osp.join(self.path, path) for path in paths]
        names = header['classes']
        if with_labels is False:
            return paths, [-1] * len(paths), []
        if with_labels and min(labels) < 0:
            raise ValueError(f'{self.path!r} has no labels; convert a folder '
                             'with class folders, or set with_labels=False')
        if classes is not None and len(classes) != len(names):
            raise ValueError(
                f'{self.path!r} has {len(names)} classes, but the option '
                f'classes has {len(classes)} names')
        return paths, labels, list(classes or names)

    def get(self, index, name):
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
            return unpack_record(txn.get(str(index).encode()), name)
