"""Pictures in tar shards, as WebDataset names them."""
import json
import logging
import os
import os.path as osp
import zlib
from collections import OrderedDict
from typing import Any, Dict, List, Tuple, Union

import numpy as np
from mmengine.logging import print_log

from caco_ext.utils.errors import one_line
from caco_ext.utils.extras import import_extra
from caco_ext.utils.files import write_whole
from caco_ext.utils.text import first_of
from ..lists import read_lines
from ..pictures import BrokenPictureError
from ..shards import cached_name, expand_shards, group_of, is_remote, stamp_of
from .container import Container, Contents, number_labels
from .tar_index import (TarIndex, index_shard, pack_index, read_index,
                        split_name)

_VERSION = 2
_MAX_OPEN = 64


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
        self._find(url)

    def _find(self, path: str) -> Tuple[Any, str]:
        """File system of an address, and the path in it.

        fsspec keeps the file systems of each process. One that was made
        before a fork would not answer.
        """
        fsspec = import_extra('fsspec', 'data', f'The address {path!r}')
        try:
            # kept, because an archive is closed with its file system
            self._system, inner = fsspec.core.url_to_fs(path)
            return self._system, inner
        except (ImportError, ValueError) as error:
            raise ValueError(f'{path!r} cannot be read: {error}') from error

    def _call(self, path: str, method: str, *args: Any, **kwargs: Any) -> Any:
        system, inner = self._find(path)
        try:
            return getattr(system, method)(inner, *args, **kwargs)
        except Exception as error:  # each storage has errors of its own
            raise OSError(
                f'{path!r} cannot be read ({one_line(error)}); correct the '
                'address, see to the network, or copy the shards to this '
                'machine') from error

    def stamp(self, path: str) -> Tuple[int, int]:
        info = self._call(path, 'info')
        marks = [
            str(info.get(k))
            for k in ('ETag', 'etag', 'mtime', 'LastModified', 'updated')
        ]
        return info['size'] or 0, zlib.crc32(''.join(marks).encode())

    def open(self, path: str) -> Any:
        return self._call(path, 'open', 'rb')

    def read(self, path: str, offset: int, size: int) -> bytes:
        data = self._call(path, 'cat_file', start=offset, end=offset + size)
        if len(data) > size:
            raise OSError(
                f'{path!r} is sent whole where a part is wanted: this server '
                'does not support ranges; take another one, or copy the '
                'shards to this machine')
        return data

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
        self.reader: Union[_Local, _Remote] = (
            _Remote(root) if is_remote(root) else _Local())

    def contents(self, with_labels: bool = True) -> Contents:
        """See :meth:`Container.contents`."""
        if is_remote(self.root):  # a fault shows before the training
            self.reader.read(self.shards[0], 0, 1)
        indices = [self._index(path) for path in self.shards]
        self._starts = np.cumsum([0] + [len(one.names) for one in indices])
        self._offsets = np.concatenate([one.offsets for one in indices])
        self._sizes = np.concatenate([one.sizes for one in indices])
        paths = [
            f'{path}/{name}' for path, one in zip(self.shards, indices)
            for name in one.names
        ]
        self._check_keys(
            [split_name(name)[0] for one in indices for name in one.names],
            paths)
        if not with_labels:
            return Contents(paths, [-1] * len(paths), [])
        return self._labels(indices)._replace(paths=paths)

    def _check_keys(self, keys: List[str], paths: List[str]) -> None:
        """Refuse pictures that are there twice, and tell of equal names."""
        first: Dict[str, int] = {}
        pairs = [(first[key], i) for i, key in enumerate(keys)
                 if first.setdefault(key, i) != i]
        for one, other in pairs:
            if self._sizes[one] != self._sizes[other]:
                continue
            if self.load(one, paths[one]) == self.load(other, paths[other]):
                raise ValueError(
                    f'{paths[other]!r} is the picture {paths[one]!r} again; '
                    'take one of the two shards away, or make them again with '
                    'each sample once')
            break  # one pair tells a copied shard from shards that count anew
        if pairs:
            print_log(
                f'{len(pairs)} samples of {self.root!r} have names that occur '
                'in several shards '
                f'({first_of(paths[other] for _, other in pairs)}); each '
                'counts by itself', 'current', logging.WARNING)

    def _labels(self, indices: List[TarIndex]) -> Contents:
        """Labels and classes of all shards."""
        fields = {one.field: path for path, one in zip(self.shards, indices)}
        if len(fields) > 1:
            kinds = [
                f'{path!r}: {field or "none"}'
                for field, path in fields.items()
            ]
            raise ValueError(
                f'the shards of {self.root!r} have labels of several kinds '
                f'({first_of(kinds)}); take those of one kind, or set '
                'with_labels=False')
        labelled = number_labels(
            [label for one in indices for label in one.labels],
            self.root,
            captions='txt' in fields)
        return self._name_classes(labelled)

    def _name_classes(self, labelled: Contents) -> Contents:
        """Name numbered classes by a file that lies beside the shards."""
        if not labelled.names or not all(one.isdigit()
                                         for one in labelled.names):
            return labelled
        group = group_of(osp.basename(self.shards[0])).partition('*')[0]
        for name in (f'{group}classes.json', 'classes.json', 'classes.txt',
                     'classnames.txt'):
            path = osp.join(osp.dirname(self.shards[0]), name)
            if not osp.isfile(path):
                continue
            names = _read_names(path)
            numbers = list(map(int, labelled.names))
            if max(numbers) >= len(names):
                raise ValueError(
                    f'{path!r} has {len(names)} names, and {self.root!r} the '
                    f'label {max(numbers)}; correct it or take it away')
            return Contents(
                [], [-1 if i < 0 else numbers[i] for i in labelled.labels],
                names)
        return labelled

    def _index(self, path: str) -> TarIndex:
        """Read a shard's index, or make it."""
        stamp = [_VERSION, *self.reader.stamp(path)]
        places = [cached_name(path, '.index.npz')]
        if not is_remote(path):
            places.insert(0, f'{path}.index.npz')
        for place in places:
            index = read_index(place, stamp)
            if index is not None:
                return index
        print_log(f'looking for the pictures of {path!r}', 'current')
        with self.reader.open(path) as stream:
            index = index_shard(stream, path, stamp[1])
        for place in places:
            try:
                write_whole(place, pack_index(index, stamp))
                return index
            except OSError as error:
                problem = one_line(error)  # try the next place
        print_log(
            f'the positions of the pictures of {path!r} cannot be stored '
            f'({problem}) and are looked up at every start; make room, or set '
            'CACO_EXT_CACHE to another folder', 'current', logging.WARNING)
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


def _read_names(path: str) -> List[str]:
    """Names of classes: a JSON list, or a text file with one a line."""
    way_out = 'correct it or take it away'
    if not path.endswith('.json'):
        lines = read_lines(path, 'list of classes', way_out)
        return '\n'.join(lines).rstrip().split('\n')
    try:
        with open(path, encoding='utf-8') as file:
            names = json.load(file)
    except ValueError as error:
        raise ValueError(
            f'{path!r} is no JSON file ({error}); {way_out}') from error
    if not isinstance(names, list):
        raise ValueError(f'{path!r} is no JSON list of names; {way_out}')
    return [str(name) for name in names]
