"""Writing pictures piece by piece, resumed after an interruption."""
import json
import logging
import os
import os.path as osp
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import Iterator, List, NamedTuple

from mmengine.logging import print_log

from caco_ext.utils.extras import import_extra
from caco_ext.utils.files import write_whole
from .containers.lmdb_format import digest
from .packing import PackSource, ending_of

# Pictures that are read, and shrunk, ahead.
_AHEAD = 64


class Record(NamedTuple):
    """One picture to be written."""
    name: str  # without ending, unique
    ending: str
    data: bytes
    label: int


class Writer(ABC):
    """Writes a source piece by piece; each piece is whole or absent.

    A piece is read back and compared before it takes its name. An
    interrupted run is resumed by the same call. Where a file of the source
    has changed in between, it begins anew.

    Args:
        source (PackSource): The pictures.
        folder (str): Where the pieces go.
        part (str): What their names begin with, such as 'train'.
        per_piece (int): Pictures of a piece.

    Raises:
        ValueError: ``folder`` holds other pictures of this name.
    """

    def __init__(self, source: PackSource, folder: str, part: str,
                 per_piece: int) -> None:
        if per_piece < 1:
            raise ValueError(f'per_shard={per_piece} must be 1 or more')
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

    # Whether a class is a folder, in which names have to differ.
    class_folders = False
    # Whether names may have dots.
    dots = True

    def _choose_names(self) -> List[str]:
        """The shortest names, without endings, that differ."""
        stems = [osp.splitext(name)[0] for name in self.source.names]
        if not self.dots:
            stems = [stem.replace('.', '_') for stem in stems]
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
        """Write what belongs to all pieces."""

    @abstractmethod
    def _is_there(self) -> bool:
        """Whether the folder holds pieces of this name."""

    def write(self, quiet: bool = False) -> int:
        """Write what is missing.

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
        """How many pieces are there and can stay."""
        if not osp.exists(self._state_file):
            if self._is_there():
                raise ValueError(
                    f'{self.folder!r} holds pictures already that were not '
                    'made here; choose another folder')
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
