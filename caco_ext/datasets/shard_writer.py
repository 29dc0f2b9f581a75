"""Write pictures to tar shards, Parquet files and folders."""
import io
import json
import os
import os.path as osp
import tarfile
import zlib
from abc import abstractmethod
from collections import Counter
from typing import Any, Callable, Dict, Iterator, List, Optional

from caco_ext.utils.extras import import_extra
from caco_ext.utils.files import write_whole
from .containers.tar_index import index_shard
from .pack_writer import Record, Writer
from .packing import PackSource

# Rows of a Parquet row group.
_ROW_GROUP = 100


class _ShardWriter(Writer):
    """Writes files that hold many pictures."""

    @abstractmethod
    def _path(self, number: int) -> str:
        """The file of a shard."""

    def _is_there(self) -> bool:
        return osp.exists(self._path(0))

    @abstractmethod
    def _write_shard(self, path: str, records: Iterator[Record]) -> None:
        """Write a file."""

    def _write_piece(self, number: int, records: Iterator[Record]) -> None:
        path = self._path(number)
        sums: List[int] = []

        def counted() -> Iterator[Record]:
            for record in records:
                sums.append(zlib.crc32(record.data))
                yield record

        def write(part: str) -> None:
            self._write_shard(part, counted())
            if self._sums(part) != sums:
                raise ValueError(f'{path!r} is not what was written to it; '
                                 'the disk or the memory is at fault')

        write_whole(path, write)

    @abstractmethod
    def _sums(self, path: str) -> List[int]:
        """Checksums of the pictures in a written file."""


class TarWriter(_ShardWriter):
    """Writes WebDataset's shards: NAME.jpg and NAME.cls."""

    # The first one ends the name of a sample.
    dots = False

    def _path(self, number: int) -> str:
        return osp.join(self.folder, f'{self.part}-{number:06d}.tar')

    def _write_shard(self, path: str, records: Iterator[Record]) -> None:
        with tarfile.open(path, 'w') as archive:
            for record in records:
                members = [(record.name + record.ending, record.data)]
                if record.label >= 0:
                    members.append(
                        (f'{record.name}.cls', b'%d' % record.label))
                for name, data in members:
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))

    def _sums(self, path: str) -> List[int]:
        with open(path, 'rb') as file:
            index = index_shard(file, path, osp.getsize(path))
            return [
                zlib.crc32(os.pread(file.fileno(), size, offset))
                for offset, size in zip(index.offsets.tolist(),
                                        index.sizes.tolist())
            ]

    def _finish(self) -> None:
        if self.source.classes:
            write_whole(
                osp.join(self.folder, f'{self.part}-classes.json'),
                json.dumps(self.source.classes))


class ParquetWriter(_ShardWriter):
    """Writes the layout of Hugging Face: image (bytes, path) and label."""

    def _path(self, number: int) -> str:
        return osp.join(
            self.folder,
            f'{self.part}-{number:05d}-of-{self.count:05d}.parquet')

    def _write_shard(self, path: str, records: Iterator[Record]) -> None:
        import_extra('pyarrow.parquet', 'data', 'A Parquet file')
        pa = import_extra('pyarrow', 'data', 'A Parquet file')
        features: Dict[str, Any] = dict(image=dict(_type='Image'))
        fields = [('image',
                   pa.struct([('bytes', pa.binary()), ('path', pa.string())]))]
        if self.source.classes:
            features['label'] = dict(
                names=self.source.classes, _type='ClassLabel')
            fields.append(('label', pa.int64()))
        about = json.dumps(dict(info=dict(features=features)))
        schema = pa.schema(fields, metadata=dict(huggingface=about))
        with pa.parquet.ParquetWriter(
                path, schema, write_page_checksum=True) as writer:
            rows: List[dict] = []
            for record in records:
                image = dict(
                    bytes=record.data, path=record.name + record.ending)
                rows.append(dict(image=image, label=record.label))
                if len(rows) == _ROW_GROUP:
                    writer.write_table(pa.Table.from_pylist(rows, schema))
                    rows = []
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, schema))

    def _sums(self, path: str) -> List[int]:
        pa = import_extra('pyarrow', 'data', 'A Parquet file')
        with pa.parquet.ParquetFile(path) as file:
            return [
                zlib.crc32(image['bytes'])
                for batch in file.iter_batches(_ROW_GROUP, columns=['image'])
                for image in batch.column(0).to_pylist()
            ]


class FolderWriter(Writer):
    """Writes class folders, or a folder where there are no labels."""

    class_folders = True

    def __init__(self, source: PackSource, folder: str, part: str,
                 per_piece: int) -> None:
        super().__init__(source, folder, part, per_piece)
        self._folders = [n.replace(os.sep, '_') for n in source.classes]
        bad = [
            name for name, count in Counter(self._folders).items()
            if count > 1 or not name or name.startswith('.')
        ]
        if bad:
            raise ValueError(
                f'the class {bad[0]!r} of {source.root!r} cannot be a folder '
                'of its own: its name is hidden, empty, or that of another '
                'class; choose another format with --to')

    def _root(self) -> str:
        return osp.join(self.folder, self.part) if self.part else self.folder

    def _is_there(self) -> bool:
        root = self._root()
        return osp.isdir(root) and any(not name.startswith('.')
                                       for name in os.listdir(root))

    def _write_piece(self, number: int, records: Iterator[Record]) -> None:
        written: Dict[str, int] = {}
        for record in records:
            folder = self._root()
            if record.label >= 0:
                folder = osp.join(folder, self._folders[record.label])
            os.makedirs(folder, exist_ok=True)
            path = osp.join(folder, record.name + record.ending)
            part = osp.join(folder, '.picture.part')
            with open(part, 'wb') as file:
                file.write(record.data)
            os.replace(part, path)
            written[path] = zlib.crc32(record.data)
        os.sync()
        for path, checksum in written.items():
            with open(path, 'rb') as file:
                if zlib.crc32(file.read()) != checksum:
                    raise ValueError(f'{path!r} is not what was written to it')


WRITERS: Dict[str, Callable[..., Writer]] = dict(
    tar=TarWriter, parquet=ParquetWriter, folder=FolderWriter)


def make_writer(kind: str, source: PackSource, folder: str, part: str,
                per_shard: Optional[int]) -> Writer:
    """Make the writer for a format.

    Args:
        kind (str): 'tar', 'parquet' or 'folder'.
        source (PackSource): The pictures.
        folder (str): Where they go.
        part (str): 'train', 'val' or 'test'; '' for a set without parts.
        per_shard (int, optional): Pictures per shard. None means 5000.

    Returns:
        Writer: Ready to write.
    """
    if kind != 'folder' and not part:
        part = 'train'
    return WRITERS[kind](source, folder, part,
                         5000 if per_shard is None else per_shard)
