"""Pictures in tar shards, as WebDataset names them."""
import json
import os
import os.path as osp
import zlib
from collections import Counter, OrderedDict
from typing import Any, Dict, List, Tuple, Union

import numpy as np
from mmengine.logging import print_log

from caco_ext.utils.extras import import_extra
from caco_ext.utils.files import write_whole
from caco_ext.utils.text import first_of
from ..pictures import BrokenPictureError
from ..shards import cached_name, expand_shards, group_of, is_remote, stamp_of
from .container import Container, Contents, number_labels
from .tar_index import (TarIndex, index_shard, pack_index, read_index,
                        split_name)

_VERSION = 1
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
        self.reader: Union[_Local, _Remote] = (
            _Remote(root) if is_remote(root) else _Local())

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
            split_name(name)[0] for one in indices for name in one.names)
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
