"""Pictures in Parquet and Arrow files, in the layout of Hugging Face."""
import json
import os.path as osp
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from caco_ext.utils.text import first_of
from ..pictures import BrokenPictureError, read_content
from ..shards import expand_shards
from .arrow_files import import_arrow, open_table, read_schema
from .container import Container, Contents, label_text, number_labels

_IMAGE_COLUMNS = ('image', 'img', 'jpg', 'png', 'picture')
_LABEL_COLUMNS = ('label', 'labels', 'fine_label', 'cls', 'class', 'target')


class _Columns(NamedTuple):
    """What is read of a file."""
    image: str
    label: Optional[str] = None
    kind: str = ''  # of the labels
    names: Tuple[str, ...] = ()  # of the classes

    def __str__(self) -> str:
        text = f'{self.image}, {self.label or "no label"}'
        if self.label:
            text += f' ({self.kind})'
        if self.names:
            text += f', classes {first_of(self.names, 5)}'
        return text


class ArrowSource(Container):
    """Pictures of Parquet or Arrow files, memory-mapped.

    A column 'image' or 'img' holds a struct of ``bytes`` and ``path``, or
    only the bytes. A column 'label' holds the class. Class names come from
    the schema's metadata, where ``datasets`` writes them.

    Parquet files are copied to the cache first, see :func:`open_table`.

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
        import_arrow()
        # Open tables of this process. A fork does not copy mapped files.
        self._tables: Dict[int, Any] = {}

    def __getstate__(self) -> dict:
        return dict(self.__dict__, _tables={})

    def contents(self, with_labels: bool = True) -> Contents:
        """See :meth:`Container.contents`."""
        # Check the columns before copying anything.
        columns = {
            _columns(read_schema(path), path, with_labels): path
            for path in self.shards
        }
        if len(columns) > 1:
            kinds = [f'{path!r}: {one}' for one, path in columns.items()]
            raise ValueError(
                f'the files of {self.root!r} have different columns or '
                f'classes ({first_of(kinds)}); take those of one kind' +
                ', or set with_labels=False' * with_labels)
        (self._image, label, _, names), = columns
        tables = [self._table(i) for i in range(len(self.shards))]
        self._starts = np.cumsum([0] + [len(table) for table in tables])
        if not self._starts[-1]:
            raise ValueError(f'{self.root!r} holds no rows; copy it again or '
                             'correct data_root')
        for path, table in zip(self.shards, tables):
            _check_pictures(path, table.column(self._image))
        paths = [
            f'{path}/{name}' for path, table in zip(self.shards, tables)
            for name in _row_names(table.column(self._image))
        ]
        if label is None:
            return Contents(paths, [-1] * len(paths), [])
        values = [
            one for table in tables for one in table.column(label).to_pylist()
        ]
        if names:
            return Contents(paths, self._numbers(values, names), list(names))
        return number_labels(
            list(map(label_text, values)), self.root,
            captions=False)._replace(paths=paths)

    def _numbers(self, values: List[Any], names: Tuple[str, ...]) -> List[int]:
        """Labels of classes that have names; -1 for none."""
        place = {name: i for i, name in enumerate(names)}
        labels = []
        for value in values:
            number = -1 if value is None else place.get(value, value)
            if not isinstance(number, int) or not -1 <= number < len(names):
                raise ValueError(
                    f'{self.root!r} has the label {value!r} and names for '
                    f'{len(names)} classes only ({first_of(names, 5)}); copy '
                    'it again, or set with_labels=False')
            labels.append(number)
        return labels

    def _table(self, number: int) -> Any:
        if number not in self._tables:
            self._tables[number] = open_table(self.shards[number])
        return self._tables[number]

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


def _columns(schema: Any, path: str, with_labels: bool) -> _Columns:
    """Find the picture column, the label column and the classes."""
    types = import_arrow().types
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
            f'{first_of(kinds, 8) or "none"}; correct data_root')
    label = next((name for name in _LABEL_COLUMNS if name in kinds), None)
    if label is None or not with_labels:
        return _Columns(found[0])
    kind = kinds[label]
    return _Columns(found[0], label,
                    'numbers' if types.is_integer(kind) else str(kind),
                    _class_names(schema, path, label))


def _class_names(schema: Any, path: str, label: str) -> Tuple[str, ...]:
    """Names that ``datasets`` has written for a column of labels."""
    text = (schema.metadata or {}).get(b'huggingface', b'{}')
    try:
        about = json.loads(text)
        for key in ('info', 'features', label):
            about = about.get(key) or {}
        return tuple(map(str, about.get('names') or ()))
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{path!r} has metadata 'huggingface' without names of classes "
            f'that can be read ({error}); make the file again, or set '
            'with_labels=False') from error


def _field(column: Any, name: str) -> Any:
    """A field of a column of structs; None if there is none."""
    if not import_arrow().types.is_struct(column.type):
        return None
    index = column.type.get_field_index(name)
    return column.flatten()[index] if index >= 0 else None


def _row_names(column: Any) -> List[str]:
    """Original names of the pictures, or else their row numbers."""
    field = _field(column, 'path')
    if field is not None:
        # a whole path is that of the machine that made the file
        names = [
            osp.basename(name) if osp.isabs(name or '') else name
            for name in field.to_pylist()
        ]
        if all(names) and len(set(names)) == len(names):
            return names
    return [str(row) for row in range(len(column))]


def _check_pictures(path: str, column: Any) -> None:
    """Refuse a file without pictures."""
    data = _field(column, 'bytes')
    data = column if data is None else data
    if data.null_count < len(data) or not len(data):
        return
    field = _field(column, 'path')
    names = [] if field is None else field.drop_null()[:1].to_pylist()
    if not names:
        raise ValueError(f'{path!r} holds no pictures: all its rows are '
                         'empty; make the file again')
    first = osp.join(osp.dirname(path), names[0])
    if not osp.exists(first):
        raise FileNotFoundError(
            f'{path!r} holds only names of pictures, and there is no file '
            f'{first!r}; copy them there, or make the file again with the '
            'pictures inside')
