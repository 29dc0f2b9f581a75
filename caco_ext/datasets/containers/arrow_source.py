"""Pictures in Parquet and Arrow files, in the layout of Hugging Face."""
import json
import os.path as osp
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from mmengine.logging import print_log

from caco_ext.utils.extras import import_extra
from caco_ext.utils.files import write_whole
from caco_ext.utils.text import first_of
from ..pictures import BrokenPictureError, read_content
from ..shards import ARROW, cached_name, expand_shards, stamp_of
from .container import Container, Contents, number_labels

_IMAGE_COLUMNS = ('image', 'img', 'jpg', 'png', 'picture')
_LABEL_COLUMNS = ('label', 'labels', 'fine_label', 'cls', 'class', 'target')
_STAMP = b'caco_ext_stamp'


def _arrow() -> Any:
    """Import pyarrow and the submodules that it does not import itself."""
    import_extra('pyarrow.parquet', 'data', 'A Parquet or Arrow file')
    return import_extra('pyarrow', 'data', 'A Parquet or Arrow file')


class ArrowSource(Container):
    """Pictures of Parquet or Arrow files, memory-mapped.

    A column 'image' or 'img' holds a struct of ``bytes`` and ``path``, or
    only the bytes. A column 'label' holds the class. Class names come from
    the schema's metadata, where ``datasets`` writes them.

    Reading one picture of a Parquet file means decoding its whole row group.
    So each Parquet file is copied once, row group by row group, to an Arrow
    file in the cache, which allows reading single rows. ``.arrow`` files are
    read without a copy.

    Args:
        root (str): A file, a glob, or 'name-{00000..00009}.parquet'.
        shards (list[str], optional): The files themselves. Defaults to None:
            those that ``root`` names.

    Raises:
        FileNotFoundError: A file is missing.
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(self, root: str, shards: Optional[List[str]] = None) -> None:
        super().__init__(root)
        self.shards = expand_shards(root) if shards is None else shards
        _arrow()
        # Open tables of this process. A fork does not copy mapped files.
        self._tables: Dict[int, Any] = {}

    def __getstate__(self) -> dict:
        return dict(self.__dict__, _tables={})

    def contents(self) -> Contents:
        """See :meth:`Container.contents`."""
        # Check the columns before copying anything.
        columns = {
            self._columns(_schema(path), path): path
            for path in self.shards
        }
        if len(columns) > 1:
            kinds = [
                f'{path!r}: {image}, {label or "no label"}'
                for (image, label, _), path in columns.items()
            ]
            raise ValueError(
                f'the files of {self.root!r} have different columns or '
                f'classes ({first_of(kinds)}); take those of one kind')
        (self._image, label, names), = columns
        tables = [self._table(i) for i in range(len(self.shards))]
        self._starts = np.cumsum([0] + [len(table) for table in tables])
        if not self._starts[-1]:
            raise ValueError(f'{self.root!r} holds no rows')
        paths = [
            f'{path}/{name}' for path, table in zip(self.shards, tables)
            for name in self._row_names(table)
        ]
        if label is None:
            return Contents(paths, [-1] * len(paths), [])
        values = [
            one for table in tables for one in table.column(label).to_pylist()
        ]
        if names and all(v is None or -1 <= v < len(names) for v in values):
            labels = [-1 if value is None else value for value in values]
            return Contents(paths, labels, list(names))
        texts = [
            None if value is None or value == -1 else str(value)
            for value in values
        ]
        return number_labels(
            texts, self.root, captions=False)._replace(paths=paths)

    def _row_names(self, table: Any) -> List[str]:
        """Original names of the pictures, or else their row numbers."""
        column = table.column(self._image)
        if _arrow().types.is_struct(
                column.type) and column.type.get_field_index('path') >= 0:
            names = [
                path for chunk in column.chunks
                for path in chunk.field('path').to_pylist()
            ]
            # a whole path is that of the machine that made the file
            names = [
                osp.basename(name) if osp.isabs(name or '') else name
                for name in names
            ]
            if all(names) and len(set(names)) == len(names):
                return names
        return [str(row) for row in range(len(table))]

    def _columns(self, schema: Any,
                 path: str) -> Tuple[str, Optional[str], Tuple[str, ...]]:
        """Names of the picture column, the label column and the classes."""
        types = _arrow().types
        kinds = dict(zip(schema.names, schema.types))
        found = [
            name for name, kind in kinds.items()
            if types.is_struct(kind) and kind.get_field_index('bytes') >= 0
        ] or [
            name for name, kind in kinds.items() if name in _IMAGE_COLUMNS and
            (types.is_binary(kind) or types.is_large_binary(kind))
        ]
        found.sort(key=lambda name: name not in _IMAGE_COLUMNS)
        if not found:
            raise ValueError(
                f'{path!r} has no column of pictures: a struct of bytes and '
                f'path, or bytes named {" or ".join(_IMAGE_COLUMNS)}; it has '
                f'{first_of(kinds, 8) or "none"}')
        label = next((name for name in _LABEL_COLUMNS if name in kinds), None)
        names: Tuple[str, ...] = ()
        about = (schema.metadata or {}).get(b'huggingface')
        if about and label:
            features = json.loads(about).get('info', {}).get('features', {})
            names = tuple((features.get(label) or {}).get('names') or ())
        return found[0], label, names

    def _table(self, number: int) -> Any:
        """Open a file as a memory-mapped table."""
        if number not in self._tables:
            path = self.shards[number]
            if not path.lower().endswith(ARROW):
                path = self._copy(path)
            self._tables[number] = _open_arrow(path)
        return self._tables[number]

    def _copy(self, path: str) -> str:
        """Copy a Parquet file to the cache, unless it is there."""
        pa = _arrow()
        copy = cached_name(path, '.arrow')
        stamp = repr(stamp_of(path)).encode()
        if osp.exists(copy):
            try:
                if (_open_arrow(copy).schema.metadata
                        or {}).get(_STAMP) == stamp:
                    return copy
            except ValueError:
                print_log(f'{copy!r} is damaged and is made again', 'current')
        try:
            with pa.parquet.ParquetFile(path, memory_map=True) as source:
                print_log(
                    f'copying the {source.metadata.num_rows} rows of {path!r} '
                    f'to {copy!r}, where single ones can be read', 'current')
                about = dict(source.schema_arrow.metadata or {})
                schema = source.schema_arrow.with_metadata(
                    dict(about, **{_STAMP.decode(): stamp}))

                def write(part: str) -> None:
                    with pa.OSFile(part, 'wb') as file, pa.ipc.new_file(
                            file, schema) as writer:
                        for batch in source.iter_batches(
                                1000, use_threads=False):
                            writer.write_batch(
                                batch.replace_schema_metadata(schema.metadata))

                write_whole(copy, write)
        except OSError as error:
            if error.errno is None:
                raise _damaged(path, error) from error
            raise OSError(
                error.errno, f'{error.strerror}; free some space or set '
                'CACO_EXT_CACHE to another folder', copy) from error
        except pa.ArrowException as error:
            raise _damaged(path, error) from error
        return copy

    def files(self) -> List[str]:
        """See :meth:`Container.files`."""
        return self.shards

    def load(self, index: int, name: str) -> Dict[str, Any]:
        """See :meth:`Container.load`."""
        number = int(np.searchsorted(self._starts, index, 'right')) - 1
        row = index - int(self._starts[number])
        value = self._table(number).column(self._image)[row].as_py()
        data, path = value, None
        if isinstance(value, dict):
            data, path = value['bytes'], value.get('path')
        if data is None and path:
            # The row stores only a path, relative to the file.
            return dict(
                img_bytes=read_content(
                    osp.join(osp.dirname(self.shards[number]), path)))
        if not data:
            raise BrokenPictureError(name, 'the row holds no picture')
        return dict(img_bytes=data)


def _open_arrow(path: str) -> Any:
    """Memory-map an Arrow file, in file format or in stream format."""
    pa = _arrow()
    try:
        source = pa.memory_map(path)
        try:
            return pa.ipc.open_file(source).read_all()
        except pa.ArrowInvalid:
            source.seek(0)
            return pa.ipc.open_stream(source).read_all()
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _schema(path: str) -> Any:
    """Names, types and metadata of a file's columns."""
    pa = _arrow()
    if path.lower().endswith(ARROW):
        return _open_arrow(path).schema
    try:
        return pa.parquet.read_schema(path, memory_map=True)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: str, error: BaseException) -> ValueError:
    kind = 'Arrow' if path.lower().endswith(ARROW) else 'Parquet'
    return ValueError(f'{path!r} is no whole {kind} file '
                      f'({_first_line(error)}); copy it again')


def _first_line(error: BaseException) -> str:
    return str(error).partition('\n')[0]
