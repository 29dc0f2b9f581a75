"""Where the pictures of a tar shard lie."""
import io
import json
import os.path as osp
import tarfile
import zipfile
import zlib
from collections import Counter, OrderedDict
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from caco_ext.utils.text import first_of
from ..formats import EXTENSIONS
from .container import label_text

# A larger label file is none.
_MAX_LABEL_BYTES = 1 << 20
# Where a .json file has the label.
_LABEL_KEYS = ('label', 'cls', 'class', 'class_id', 'target', 'class_name')
_LABEL_FIELDS = ('cls', 'json', 'txt')
_BLOCK = 512


class TarIndex(NamedTuple):
    """The pictures of one shard."""
    names: List[str]
    offsets: np.ndarray  # bytes, (N, ) int64
    sizes: np.ndarray  # bytes, (N, ) int64
    labels: List[Optional[str]]
    field: str  # what gave the labels: one of _LABEL_FIELDS, 'folder' or ''


def split_name(name: str) -> Tuple[str, str]:
    """Key of the sample and field: './a/b.seg.png' to ('a/b', 'seg.png')."""
    folder, base = osp.split(osp.normpath(name))
    key, _, field = base.partition('.')
    return osp.join(folder, key), field.lower()


def _picture_of(fields: Dict[str, tarfile.TarInfo], key: str,
                path: str) -> Optional[tarfile.TarInfo]:
    """The member of a sample that is its picture."""
    plain = [f for f in fields if f'.{f}' in EXTENSIONS]
    found = plain or [
        f for f in fields
        if osp.splitext(f'.{f}')[1] in EXTENSIONS or f.endswith(EXTENSIONS)
    ]
    if len(found) > 1:
        raise ValueError(
            f'the sample {key!r} of {path!r} has several pictures '
            f'({first_of(found, 5)}); keep one in the shard')
    return fields[found[0]] if found else None


def _label_of(archive: tarfile.TarFile, member: tarfile.TarInfo, field: str,
              path: str) -> Optional[str]:
    """What a .cls, .json or .txt file says."""
    if member.size > _MAX_LABEL_BYTES:
        return None
    file = archive.extractfile(member)
    assert file is not None  # it is a regular file
    try:
        text = file.read().decode()
        if field != 'json':
            return label_text(text.strip())
        entries = json.loads(text)
    except ValueError as error:
        raise ValueError(f'{member.name!r} of {path!r} is no '
                         f'{"JSON" if field == "json" else "text"} file '
                         f'({error}); mend it or take it out') from error
    for name in _LABEL_KEYS:
        if isinstance(entries, dict) and name in entries:
            return label_text(entries[name])
    return None


def index_shard(stream: Any, path: str, size: int) -> TarIndex:
    """Find the pictures of a tar file.

    Args:
        stream (BinaryIO): The file, open.
        path (str): Its name.
        size (int): Its bytes.

    Returns:
        TarIndex: Names, offsets, sizes and labels of the pictures.

    Raises:
        ValueError: It is no tar file, compressed, cut off, has a sample
            twice, or holds no picture.
    """
    samples: 'OrderedDict[str, Dict[str, tarfile.TarInfo]]' = OrderedDict()
    end = 0
    try:
        with tarfile.open(fileobj=stream, mode='r:') as archive:
            for member in archive:
                blocks = -(-member.size // _BLOCK) if member.isreg() else 0
                end = member.offset_data + blocks * _BLOCK
                base = osp.basename(member.name)
                if not member.isreg() or base.startswith('.'):
                    continue
                key, field = split_name(member.name)
                fields = samples.setdefault(key, {})
                if field in fields:
                    raise ValueError(
                        f'{path!r} has {member.name!r} twice; make the shard '
                        'again with a name for each sample')
                fields[field] = member
            # two empty blocks end an archive
            stream.seek(end)
            if end + 2 * _BLOCK > size or any(stream.read(2 * _BLOCK)):
                raise tarfile.ReadError(
                    f'it breaks off at byte {end} of {size} without an end '
                    'mark')
            return _make_index(archive, samples, path)
    except tarfile.TarError as error:
        stream.seek(0)
        start = stream.read(6)
        hint = 'copy it again'
        if start[:2] == b'\x1f\x8b' or start[:4] == b'(\xb5/\xfd' or (
                start[:3] == b'BZh' or start == b'\xfd7zXZ\0'):
            hint = 'it is compressed, and parts of it cannot be read: unpack' \
                   ' it (gunzip, zstd -d, ...)'
        raise ValueError(f'{path!r} is no whole tar file ({error}); '
                         f'{hint}') from error


def _make_index(archive: tarfile.TarFile, samples: Dict[str, dict],
                path: str) -> TarIndex:
    pictures: List[tarfile.TarInfo] = []
    labels: List[Optional[str]] = []
    fields: Counter = Counter()
    for key, members in samples.items():
        picture = _picture_of(members, key, path)
        if picture is None:
            continue
        label = None
        field = next((f for f in _LABEL_FIELDS if f in members), '')
        longer = [f for f in members if f.endswith('.cls')]
        if not field and len(longer) == 1:  # '0001.class.cls'
            members['cls'] = members[longer[0]]
            field = 'cls'
        if field:
            label = _label_of(archive, members[field], field, path)
        fields[field if label is not None else ''] += 1
        pictures.append(picture)
        labels.append(label)
    if not pictures:
        raise ValueError(f'{path!r} holds no pictures (files that end in '
                         f'{first_of(EXTENSIONS, 8)}, ...); correct data_root')
    field = fields.most_common(1)[0][0]
    folders = [osp.basename(osp.dirname(one.name)) for one in pictures]
    if not any(label is not None for label in labels) and all(folders):
        labels, field = list(folders), 'folder'
    return TarIndex([one.name for one in pictures],
                    np.array([one.offset_data for one in pictures], np.int64),
                    np.array([one.size for one in pictures], np.int64), labels,
                    field)


def pack_index(index: TarIndex, stamp: Sequence[int]) -> bytes:
    texts = json.dumps([index.names, index.labels, index.field]).encode()
    out = io.BytesIO()
    np.savez_compressed(
        out,
        stamp=np.array(stamp, np.int64),
        offsets=index.offsets,
        sizes=index.sizes,
        texts=np.frombuffer(texts, np.uint8))
    return out.getvalue()


def read_index(place: str, stamp: Sequence[int]) -> Optional[TarIndex]:
    """An index of this stamp; None where there is none that can be read."""
    try:
        with np.load(place, allow_pickle=False) as stored:
            if stored['stamp'].tolist() != list(stamp):
                return None
            names, labels, field = json.loads(stored['texts'].tobytes())
            return TarIndex(names, stored['offsets'], stored['sizes'], labels,
                            field)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile,
            zlib.error):
        return None
