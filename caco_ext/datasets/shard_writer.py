"""Write pictures to tar shards, Parquet files and folders."""
import io
import json
import logging
import os
import os.path as osp
import tarfile
import zlib
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from mmengine.logging import print_log

from caco_ext.utils.extras import import_extra
from caco_ext.utils.files import write_whole
from .containers.lmdb_format import digest
from .containers.tar_source import index_shard
from .packing import PackSource, ending_of

# Pictures to read and shrink ahead; rows of a Parquet row group.
_AHEAD, _ROW_GROUP = 64, 100


class Record(NamedTuple):
    """One picture to be written."""
    name: str  # without ending, unique
    ending: str
    data: bytes
    label: int


class Writer(ABC):
    """Writes a source piece by piece; each piece is complete or absent.

    A piece is read back and compared before it gets its name. The same call
    resumes an interrupted run. If a file of the source has changed meanwhile,
    it starts again.

    Args:
        source (PackSource): The pictures.
        folder (str): Where the pieces go.
        part (str): Start of their names, such as 'train'.
        per_piece (int): Pictures per piece.

    Raises:
        ValueError: ``folder`` holds other pictures of this name.
    """

    def __init__(self, source: PackSource, folder: str, part: str,
                 per_piece: int) -> None:
        if per_piece < 1:
            raise ValueError(f'per_piece={per_piece} must be 1 or more')
        self.source = source
        self.folder = folder
        self.part = part
        self.per_piece = per_piece
        self.count = -(-len(source) // per_piece)
        self._state_file = osp.join(folder, f'.{part}.pack.json')
        self._state = dict(
            kind=type(self).__name__,
            per_piece=per_piece,
            digest=source.digest,
            changes=digest(list(source.stamps.values())))
        self._names = self._choose_names()

    # Whether classes are folders. Then names need only differ within a class.
    class_folders = False

    def _choose_names(self) -> List[str]:
        """Choose the shortest unique names, without endings."""
        stems = [osp.splitext(name)[0] for name in self.source.names]
        labels = self.source.labels if self.class_folders else [0] * len(stems)
        for names in ([osp.basename(stem) for stem in stems],
                      [stem.replace(os.sep, '_') for stem in stems]):
            if len(set(zip(labels, names))) == len(names):
                return names
        return [
            f'{i:08d}_{osp.basename(stem)}' for i, stem in enumerate(stems)
        ]

    @abstractmethod
    def _write_piece(self, number: int, records: Iterator[Record]) -> None:
        """Write one piece, and check what was written.

        Raises:
            ValueError: What is read back is not what was written.
        """

    def _finish(self) -> None:
        """Write the files that belong to all pieces."""

    @abstractmethod
    def _is_there(self) -> bool:
        """Whether the folder holds pieces of this name."""

    def write(self, quiet: bool = False) -> int:
        """Write the missing pieces.

        Args:
            quiet (bool): Show no progress bar. Defaults to False.

        Returns:
            int: Number of pictures.

        Raises:
            OSError: A picture cannot be read, or the disk is full.
            ValueError: The folder holds other pictures, or what is read back
                is not what was written.
        """
        done = self._done()
        tqdm = import_extra('tqdm', 'lmdb', 'A progress bar')
        with tqdm.tqdm(
                total=len(self.source),
                initial=min(done * self.per_piece, len(self.source)),
                unit='pictures',
                desc=self.part or 'packing',
                disable=quiet) as bar:
            for number in range(done, self.count):
                start = number * self.per_piece
                stop = min(start + self.per_piece, len(self.source))
                self._write_piece(number, self._records(start, stop))
                self._save(number + 1)
                bar.update(stop - start)
        self._finish()
        return len(self.source)

    def _done(self) -> int:
        """Number of pieces that are there and can stay."""
        if not osp.exists(self._state_file):
            if self._is_there():
                raise ValueError(
                    f'{self.folder!r} holds pictures of the name '
                    f'{self.part!r} already, which were not made here; choose '
                    'another folder')
            self._save(0)
            return 0
        with open(self._state_file) as file:
            state = json.load(file)
        done = state.pop('done')
        changes = state.pop('changes')
        same = {k: v for k, v in self._state.items() if k != 'changes'}
        if state != same:
            raise ValueError(
                f'{self.folder!r} holds other pictures, or the same ones made '
                'with other options; remove it or choose another folder')
        if changes != self._state['changes']:
            if done == self.count:
                raise ValueError(
                    f'{self.folder!r} is complete, but pictures of '
                    f'{self.source.root!r} have changed since; remove it to '
                    'make it again, or choose another folder')
            print_log(
                f'pictures of {self.source.root!r} have changed since the run '
                'was interrupted; it begins anew', 'current', logging.WARNING)
            done = 0
        return done

    def _save(self, done: int) -> None:
        write_whole(self._state_file, json.dumps(dict(self._state, done=done)))

    def _records(self, start: int, stop: int) -> Iterator[Record]:
        """Read pictures in order, some ahead, on all cores."""

        def read(index: int) -> Record:
            data = self.source.read(index)
            return Record(self._names[index],
                          ending_of(data, self.source.names[index]), data,
                          self.source.labels[index])

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for first in range(start, stop, _AHEAD):
                yield from pool.map(read,
                                    range(first, min(first + _AHEAD, stop)))


class _ShardWriter(Writer):
    """Writes files that hold many pictures."""

    def _path(self, number: int) -> str:
        raise NotImplementedError

    def _is_there(self) -> bool:
        return osp.exists(self._path(0))

    def _write_shard(self, path: str, records: Iterator[Record]) -> None:
        raise NotImplementedError

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

    def _sums(self, path: str) -> List[int]:
        """Checksums of the pictures in a written file."""
        raise NotImplementedError


class TarWriter(_ShardWriter):
    """Writes WebDataset's shards: NAME.jpg and NAME.cls."""

    def _path(self, number: int) -> str:
        return osp.join(self.folder, f'{self.part}-{number:06d}.tar')

    def _write_shard(self, path: str, records: Iterator[Record]) -> None:
        with tarfile.open(path, 'w') as archive:
            for record in records:
                key = record.name.replace('.', '_')
                members = [(key + record.ending, record.data)]
                if record.label >= 0:
                    members.append((f'{key}.cls', b'%d' % record.label))
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
        with pa.parquet.ParquetWriter(path, schema) as writer:
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

    def _root(self) -> str:
        return osp.join(self.folder, self.part) if self.part else self.folder

    def _is_there(self) -> bool:
        root = self._root()
        return osp.isdir(root) and any(not name.startswith('.')
                                       for name in os.listdir(root))

    def _write_piece(self, number: int, records: Iterator[Record]) -> None:
        written: Dict[str, int] = {}
        for record in records:
            inner = self.source.classes[
                record.label] if record.label >= 0 else ''
            folder = osp.join(self._root(), inner.replace(os.sep, '_'))
            os.makedirs(folder, exist_ok=True)
            path = osp.join(folder, record.name + record.ending)
            with open(path, 'wb') as file:
                file.write(record.data)
            written[path] = zlib.crc32(record.data)
        os.sync()
        for path, checksum in written.items():
            with open(path, 'rb') as file:
                if zlib.crc32(file.read()) != checksum:
                    raise ValueError(f'{path!r} is not what was written to it')


WRITERS = dict(tar=TarWriter, parquet=ParquetWriter, folder=FolderWriter)


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
    return WRITERS[kind](source, folder, part, per_shard or 5000)
