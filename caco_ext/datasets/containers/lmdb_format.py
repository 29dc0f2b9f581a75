"""Format of the LMDB files that ``pack.py`` writes.

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
import struct
import zlib
from types import ModuleType
from typing import Any, Dict, List, Tuple

import numpy as np

from caco_ext.utils.extras import import_extra
from ..pictures import BrokenPictureError

FORMAT = 'caco_ext-pictures'
VERSION = 1
HEADER, LABELS, PATHS = b'__header__', b'__labels__', b'__paths__'
# Entries that a header must have, and their types. The digest is a checksum
# of classes, labels and paths.
_ENTRIES: Dict[str, Any] = dict(
    length=int,
    classes=list,
    digest=(str, type(None)),
    written=int,
    complete=bool)


def import_lmdb() -> ModuleType:
    """Import lmdb, which only users of LMDB files need.

    Returns:
        module: The module ``lmdb``.

    Raises:
        ImportError: If it is not installed.
    """
    return import_extra('lmdb', 'lmdb', 'An LMDB file')


def pack_record(data: bytes) -> bytes:
    """Make the stored value of one picture.

    Args:
        data (bytes): Content of the picture file.

    Returns:
        bytes: CRC-32 and content.
    """
    return struct.pack('<I', zlib.crc32(data)) + data


def read_record(txn: Any, index: int, name: str) -> bytes:
    """Read and check one picture.

    Args:
        txn (lmdb.Transaction): Transaction of the open file, with
            ``buffers=True``: a damaged record may claim gigabytes, which must
            not be copied.
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


def digest(content: Any) -> str:
    """Checksum of a content.

    Args:
        content (Any): Anything that JSON can hold.

    Returns:
        str: SHA-256, hexadecimal.
    """
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def read_header(txn: Any, path: str) -> Dict[str, Any]:
    """Read and check the header.

    Args:
        txn (lmdb.Transaction): Transaction of the open file.
        path (str): Its name, for error messages.

    Returns:
        dict: The header.

    Raises:
        ValueError: If it is damaged, or the file has another format or
            version.
    """
    damaged = (f'the header of {path!r} is damaged; copy the file again, or '
               'remove it and run pack.py again')
    try:
        header = json.loads(bytes(txn.get(HEADER) or b'{}'))
    except (import_lmdb().Error, ValueError) as error:
        raise ValueError(damaged) from error
    if not isinstance(header, dict):
        raise ValueError(damaged)
    if header.get('format') != FORMAT:
        raise ValueError(
            f'{path!r} is an LMDB file of another program; make one with '
            'tools/dataset_converters/pack.py')
    if header.get('version') != VERSION:
        raise ValueError(
            f"{path!r} has format version {header.get('version')}, this "
            f'release reads version {VERSION}; convert the pictures again')
    if any(not isinstance(header.get(key), kind)
           for key, kind in _ENTRIES.items()):
        raise ValueError(damaged)
    return header


def read_tables(txn: Any, header: Dict[str, Any],
                path: str) -> Tuple[List[int], List[str]]:
    """Read and check labels and paths.

    Args:
        txn (lmdb.Transaction): Transaction of the open file.
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
            'file again, or remove it and run pack.py again')
    if not names:
        raise ValueError(f'{path!r} holds no pictures; remove it')
    return labels, names
