"""Pictures in tar shards, as WebDataset names them."""
import io
import json
import os
import os.path as osp
import tarfile
import zipfile
import zlib
from collections import Counter, OrderedDict
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from mmengine.logging import print_log

from caco_ext.utils.extras import import_extra
from caco_ext.utils.files import write_whole
from caco_ext.utils.text import first_of
from ..formats import EXTENSIONS
from ..pictures import BrokenPictureError
from ..shards import cached_name, expand_shards, group_of, is_remote, stamp_of
from .container import Container, Contents, number_labels

_VERSION = 1
# A larger file is not a label.
_MAX_LABEL_BYTES = 1 << 20
# Entries of a .json file that may hold the label.
_LABEL_KEYS = ('label', 'cls', 'class', 'class_id', 'target', 'class_name')
_LABEL_FIELDS = ('cls', 'json', 'txt')
_MAX_OPEN = 64
_BLOCK = 512


class _Index(NamedTuple):
    """The pictures of one shard."""
    names: List[str]
    offsets: np.ndarray  # bytes, (N, ) int64
    sizes: np.ndarray  # bytes, (N, ) int64
    labels: List[Optional[str]]
    field: str  # what gave the labels: one of _LABEL_FIELDS, 'folder' or ''


def _split_name(name: str) -> Tuple[str, str]:
    """Key of the sample and field: 'a/b.seg.png' to ('a/b', 'seg.png')."""
    folder, base = osp.split(name)
    key, _, field = base.partition('.')
    return osp.join(folder, key), field.lower()


def _picture_of(fields: Dict[str, tarfile.TarInfo], key: str,
                path: str) -> Optional[tarfile.TarInfo]:
    """The picture among the files of a sample."""
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
    """The label in a .cls, .json or .txt file."""
    if member.size > _MAX_LABEL_BYTES:
        return None
    file = archive.extractfile(member)
    assert file is not None  # it is a regular file
    try:
        text = file.read().decode()
        if field != 'json':
            return text.strip()
        entries = json.loads(text)
    except ValueError as error:
        raise ValueError(f'{member.name!r} of {path!r} is no '
                         f'{"JSON" if field == "json" else "text"} file '
                         f'({error}); mend it or take it out') from error
    for name in _LABEL_KEYS:
        if isinstance(entries, dict) and name in entries:
            return str(entries[name])
    return None


def index_shard(stream: Any, path: str, size: int) -> _Index:
    """Find the pictures of a tar file.

    Args:
        stream (BinaryIO): The open file.
        path (str): Its name.
        size (int): Its size in bytes.

    Returns:
        _Index: Names, offsets, sizes and labels of the pictures.

    Raises:
        ValueError: It is no tar file, is compressed or cut off, has a sample
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
                key, field = _split_name(member.name)
                fields = samples.setdefault(key, {})
                if field in fields:
                    raise ValueError(
                        f'{path!r} has {member.name!r} twice; make the shard '
                        'again with a name for each sample')
                fields[field] = member
            # An archive ends with two empty blocks.
            stream.seek(end)
            if end + 2 * _BLOCK > size or any(stream.read(2 * _BLOCK)):
                raise tarfile.ReadError(
                    f'it ends after {size} bytes without an end mark')
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
                path: str) -> _Index:
    pictures: List[tarfile.TarInfo] = []
    labels: List[Optional[str]] = []
    fields: Counter = Counter()
    for key, members in samples.items():
        picture = _picture_of(members, key, path)
        if picture is None:
            continue
        label = None
        field = next((f for f in _LABEL_FIELDS if f in members), '')
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
    return _Index([one.name for one in pictures],
                  np.array([one.offset_data for one in pictures], np.int64),
                  np.array([one.size for one in pictures], np.int64), labels,
                  field)


class _Local:
    """Reads shards of this machine."""

    def __init__(self) -> None:
        self._open: 'OrderedDict[str, int]' = OrderedDict()

    def stamp(self, path: str) -> Tuple[int, int]:
        return stamp_of(path)

    def open(self, path: str) -> Any:
        return open(path, 'rb')

    def read(self, path: str, offset: int, size: int) -> bytes:
        if path not in self._open:
            while len(self._open) >= _MAX_OPEN:
                os.close(self._open.popitem(last=False)[1])
            self._open[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._open.move_to_end(path)
        # Unlike read, pread uses no file position. Forks would share it.
        return os.pread(self._open[path], size, offset)

    def __reduce__(self) -> tuple:
        return _Local, ()


class _Remote:
    """Reads shards from any storage that fsspec supports."""

    def __init__(self, url: str) -> None:
        self.url = url
        fsspec = import_extra('fsspec', 'data', f'The address {url!r}')
        self.system = fsspec.core.url_to_fs(url)[0]

    def stamp(self, path: str) -> Tuple[int, int]:
        info = self.system.info(path)
        marks = [
            str(info.get(k))
            for k in ('ETag', 'etag', 'mtime', 'LastModified', 'updated')
        ]
        return info['size'], zlib.crc32(''.join(marks).encode())

    def open(self, path: str) -> Any:
        return self.system.open(path, 'rb')

    def read(self, path: str, offset: int, size: int) -> bytes:
        return self.system.cat_file(path, start=offset, end=offset + size)

    def __reduce__(self) -> tuple:
        return _Remote, (self.url, )


class TarSource(Container):
    """Pictures of tar shards in WebDataset's naming.

    Files with the same name up to the first dot form a sample, such as
    ``0001.jpg`` and ``0001.cls``. Its label is the content of the ``.cls``
    file, the entry 'label' (or 'cls', 'class', 'class_id', 'target',
    'class_name') of the ``.json`` file, or the ``.txt`` file unless it is a
    caption. Without these, it is the folder of the sample.

    The positions of all pictures are looked up once. This index is stored
    beside each shard, or in the cache if that folder is read-only. It is
    renewed when the size or date of the shard changes.

    Args:
        root (str): A shard, a glob, 'train-{000000..000146}.tar', or an
            address, such as 's3://bucket/train-000000.tar', where fsspec is
            installed.

    Raises:
        FileNotFoundError: A shard is missing.
    """

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.shards = expand_shards(root)
        self.reader = _Remote(root) if is_remote(root) else _Local()

    def contents(self) -> Contents:
        """See :meth:`Container.contents`."""
        indices = [self._index(path) for path in self.shards]
        self._starts = np.cumsum([0] + [len(one.names) for one in indices])
        self._offsets = np.concatenate([one.offsets for one in indices])
        self._sizes = np.concatenate([one.sizes for one in indices])
        fields = sorted({one.field for one in indices})
        if len(fields) > 1:
            raise ValueError(
                f'the shards of {self.root!r} have labels of several kinds '
                f'({", ".join(map(repr, fields))}); take those of one kind, '
                'or set with_labels=False')
        labelled = number_labels(
            [label for one in indices for label in one.labels],
            self.root,
            captions=fields == ['txt'])
        labelled = self._name_classes(labelled)
        paths = [
            f'{path}/{name}' for path, one in zip(self.shards, indices)
            for name in one.names
        ]
        again = Counter(
            _split_name(name)[0] for one in indices for name in one.names)
        twice = [key for key, count in again.items() if count > 1]
        if twice:
            print_log(
                f'{len(twice)} samples of {self.root!r} have names that occur '
                f'in several shards ({first_of(twice)}); each counts by '
                'itself', 'current')
        return labelled._replace(paths=paths)

    def _name_classes(self, labelled: Contents) -> Contents:
        """Name numbered classes by a file that lies beside the shards."""
        group = group_of(osp.basename(self.shards[0])).partition('*')[0]
        for name in (f'{group}classes.json', 'classes.json', 'classes.txt',
                     'classnames.txt'):
            path = osp.join(osp.dirname(self.shards[0]), name)
            if not labelled.names or not osp.isfile(path) or not all(
                    one.isdigit() for one in labelled.names):
                continue
            with open(path, encoding='utf-8') as file:
                names = json.load(file) if name.endswith(
                    '.json') else file.read().splitlines()
            numbers = list(map(int, labelled.names))
            if max(numbers) >= len(names):
                raise ValueError(
                    f'{path!r} has {len(names)} names, and {self.root!r} the '
                    f'label {max(numbers)}; correct it or take it away')
            return Contents(
                [], [-1 if i < 0 else numbers[i] for i in labelled.labels],
                [str(one) for one in names])
        return labelled

    def _index(self, path: str) -> _Index:
        """Read a shard's index, or make it."""
        stamp = [_VERSION, *self.reader.stamp(path)]
        places = [cached_name(path, '.index.npz')]
        if not is_remote(path):
            places.insert(0, f'{path}.index.npz')
        for place in places:
            index = _read_index(place, stamp)
            if index is not None:
                return index
        print_log(f'looking for the pictures of {path!r}', 'current')
        with self.reader.open(path) as stream:
            index = index_shard(stream, path, stamp[1])
        for place in places:
            try:
                write_whole(place, _pack_index(index, stamp))
                break
            except OSError:
                continue  # try the next place; or else index at every start
        return index

    def files(self) -> List[str]:
        """See :meth:`Container.files`."""
        return [p for p in self.shards if not is_remote(p)]

    def load(self, index: int, name: str) -> Dict[str, Any]:
        """See :meth:`Container.load`."""
        shard = int(np.searchsorted(self._starts, index, 'right')) - 1
        size = int(self._sizes[index])
        try:
            data = self.reader.read(self.shards[shard],
                                    int(self._offsets[index]), size)
        except FileNotFoundError as error:
            raise BrokenPictureError(name, error.strerror) from error
        if len(data) < size:
            raise BrokenPictureError(name, 'the shard has become shorter')
        return dict(img_bytes=data)


def _pack_index(index: _Index, stamp: Sequence[int]) -> bytes:
    texts = json.dumps([index.names, index.labels, index.field]).encode()
    out = io.BytesIO()
    np.savez_compressed(
        out,
        stamp=np.array(stamp, np.int64),
        offsets=index.offsets,
        sizes=index.sizes,
        texts=np.frombuffer(texts, np.uint8))
    return out.getvalue()


def _read_index(place: str, stamp: Sequence[int]) -> Optional[_Index]:
    """Read the index with this stamp; None if there is none."""
    try:
        with np.load(place, allow_pickle=False) as stored:
            if stored['stamp'].tolist() != list(stamp):
                return None
            names, labels, field = json.loads(stored['texts'].tobytes())
            return _Index(names, stored['offsets'], stored['sizes'], labels,
                          field)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile,
            zlib.error):
        return None
