"""Reading the LMDB files that ``folder2lmdb.py`` writes.

Format, version 1 (single file, no pickle anywhere):

==============  ==============================================================
key             value
==============  ==============================================================
``__header__``  JSON: format, version, length, classes; digest (of paths,
                labels, classes); for the writer stamps (a digest of sizes and
                dates), changes (of more that tells a change), written and
                complete: how far the conversion is
``__labels__``  little-endian int32, one per picture (-1: none)
``__paths__``   JSON list of paths relative to the source
``0``, ``1``..  little-endian uint32 CRC-32 of the rest, then the file's bytes
==============  ==============================================================
"""
import hashlib
import json
import os
import os.path as osp
import struct
import zlib

import numpy as np

from caco_ext.utils.extras import import_extra
from caco_ext.utils.text import first_of
from .lmdb_pages import check_pages
from .parts import check_classes
from .transforms.loading import BrokenPictureError

FORMAT = 'caco_ext-pictures'
VERSION = 1
HEADER, LABELS, PATHS = b'__header__', b'__labels__', b'__paths__'
# What a header must have. The digest is the checksum of classes, labels and
# paths; a length, or 'complete', that was damaged fits nothing.
_ENTRIES = dict(
    length=int,
    classes=list,
    digest=(str, type(None)),
    written=int,
    complete=bool)


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


def read_record(txn, index, name):
    """Read and check one picture.

    Args:
        txn (lmdb.Transaction): Of the open file, with ``buffers=True``: a
            damaged length may be one of gigabytes, which nobody copies.
        index (int): Number of the picture.
        name (str): Name for error messages.

    Returns:
        bytes: Content of the picture file.

    Raises:
        BrokenPictureError: If the record is missing or damaged.
    """
    try:
        record = txn.get(str(index).encode(), b'')
    except import_lmdb().Error as error:
        raise BrokenPictureError(
            name, f'its LMDB file is damaged ({error})') from error
    if len(record) < 4:
        raise BrokenPictureError(name, 'its record is missing')
    if struct.unpack('<I', record[:4])[0] != zlib.crc32(record[4:]):
        raise BrokenPictureError(name, 'its record is damaged (CRC-32)')
    return bytes(record[4:])


def digest(content):
    """Tell contents apart.

    Args:
        content (list): Whatever JSON can hold.

    Returns:
        str: SHA-256, hexadecimal.
    """
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


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
        ValueError: If it is damaged, or the file has another format or
            version.
    """
    damaged = (f'the header of {path!r} is damaged; copy the file again, or '
               'remove it and run folder2lmdb.py again')
    try:
        header = json.loads(bytes(txn.get(HEADER) or b'{}'))
    except (import_lmdb().Error, ValueError) as error:
        raise ValueError(damaged) from error
    if not isinstance(header, dict):
        raise ValueError(damaged)
    if header.get('format') != FORMAT:
        raise ValueError(
            f'{path!r} is an LMDB file of another program; make one with '
            'tools/dataset_converters/folder2lmdb.py')
    if header.get('version') != VERSION:
        raise ValueError(
            f"{path!r} has format version {header.get('version')}, this "
            f'release reads version {VERSION}; convert the pictures again')
    if any(not isinstance(header.get(key), kind)
           for key, kind in _ENTRIES.items()):
        raise ValueError(damaged)
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
    classes = header['classes']
    try:
        labels = np.frombuffer(txn.get(LABELS, b''), '<i4').tolist()
        names = json.loads(bytes(txn.get(PATHS, b'')))
    except (import_lmdb().Error, ValueError):
        labels, names = [], None
    whole = isinstance(names, list) and all(-1 <= label < len(classes)
                                            for label in labels)
    if not whole or not len(labels) == len(names) == header['length'] or \
            header.get('digest') not in (None,
                                         digest([names, labels, classes])):
        raise ValueError(
            f'the list of paths or labels of {path!r} is damaged; copy the '
            'file again, or remove it and run folder2lmdb.py again')
    if not names:
        raise ValueError(f'{path!r} holds no pictures; remove it')
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
        return _OPENED[self.path].begin(buffers=True)

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
            check_pages(self.path)
            # without entries: interrupted before the first commit
            header = txn.stat()['entries'] and read_header(txn, self.path)
            if not header or not header['complete']:
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
        if classes is None:
            check_classes(names, paths, self.path)
            return paths, labels, names
        if len(classes) != len(names):
            raise ValueError(
                f'{self.path!r} has {len(names)} classes, but the option '
                f'classes has {len(classes)} names')
        if classes != names and set(classes) & set(names):
            raise ValueError(
                f'{self.path!r} has the classes {first_of(names, 5)} in '
                'this order, and the option classes has another; it cannot '
                'choose or order those of an LMDB file')
        return paths, labels, list(classes)

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
            return read_record(txn, index, name)
