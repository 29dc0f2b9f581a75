"""Write the LMDB files that :mod:`lmdb_source` reads."""
import fcntl
import json
import logging
import mmap
import os
import os.path as osp
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Sequence, Tuple

import numpy as np
from mmengine.logging import print_log

from caco_ext.utils.extras import import_extra
from caco_ext.utils.files import check_output
from .containers.lmdb_format import (FORMAT, HEADER, LABELS, PATHS, VERSION,
                                     digest, import_lmdb, pack_record,
                                     read_header, read_record)
from .containers.lmdb_pages import check_pages
from .containers.lmdb_source import close_all, open_for_reading
from .packing import PackSource
from .pictures import BrokenPictureError

# An interruption costs at most this many pictures.
_CHUNK = 1000
_FIRST_MAP_SIZE = 1 << 30


def _bar(*args: Any, **kwargs: Any) -> Any:
    tqdm = import_extra('tqdm', 'lmdb', 'A progress bar')
    return tqdm.tqdm(*args, **kwargs)


class LMDBWriter:
    """Copies pictures into one LMDB file.

    The same call resumes an interrupted conversion, as pictures and progress
    are committed together. If the size or date of a source file has changed
    meanwhile, the conversion starts again and says so.

    Args:
        source (PackSource): The pictures.
        target (str): The LMDB file.

    Raises:
        ValueError: The target is not named ``.lmdb``, or is no regular file.
    """

    def __init__(self, source: PackSource, target: str) -> None:
        if not target.endswith('.lmdb'):
            raise ValueError(f'the target {target!r} must end in .lmdb, by '
                             'which data_root tells it from a text list')
        if osp.exists(target) and not osp.isfile(target):
            raise ValueError(f'the target {target!r} is no regular file; '
                             'choose another one')
        self.source = source
        self.target = target
        stamps = list(source.stamps.values())
        # A copy of a picture may have its size and date, but not its change
        # time (ctime). Renaming and changing rights alter the ctime too; that
        # costs no more than starting an unfinished conversion again.
        self.stamps = digest([stamp[:2] for stamp in stamps])
        self.changes = digest(stamps)

    def _header(self, written: int, complete: bool = False) -> bytes:
        return json.dumps(
            dict(
                format=FORMAT,
                version=VERSION,
                length=len(self.source),
                classes=self.source.classes,
                digest=self.source.digest,
                stamps=self.stamps,
                changes=self.changes,
                written=written,
                complete=complete)).encode()

    def _progress(self) -> Tuple[int, bool]:
        """How many pictures of the target can stay, and if it is complete.

        If pictures have changed, an unfinished target is removed: it is not
        known which of its pictures are stale, and copying is cheap. A
        finished target must be removed by the user, as runs may depend on it.
        """
        if not osp.exists(self.target) or not osp.getsize(self.target):
            return 0, False
        with open_for_reading(self.target) as env:
            check_pages(self.target)
            with env.begin() as txn:
                if not txn.stat()['entries']:
                    return 0, False  # interrupted before the first commit
                header = read_header(txn, self.target)
        if header.get('digest') != self.source.digest:
            raise ValueError(
                f'{self.target!r} holds other pictures (or the source has '
                'changed since); remove it or choose another target')
        # Older files lack stamps or changes; they count as changed.
        if header['complete']:
            if header.get('stamps') != self.stamps:
                raise ValueError(
                    f'{self.target!r} is complete, but pictures in '
                    f'{self.source.root!r} have changed since (by size or '
                    'date); remove it to convert them again, or choose '
                    'another target')
        elif header.get('changes') != self.changes:
            print_log(
                f'pictures in {self.source.root!r} have changed since the '
                f'conversion to {self.target!r} was interrupted; it begins '
                'anew', 'current', logging.WARNING)
            os.truncate(self.target, 0)
            return 0, False
        return header['written'], header['complete']

    def _tables(self) -> Dict[bytes, bytes]:
        """Entries other than pictures and header."""
        return {
            LABELS: np.asarray(self.source.labels, '<i4').tobytes(),
            PATHS: json.dumps(self.source.names).encode(),
        }

    def _put(self, env: Any, items: Sequence[Tuple[bytes, bytes]]) -> None:
        """Commit items together, and enlarge the map if needed."""
        lmdb = import_lmdb()
        while True:
            try:
                with env.begin(write=True) as txn:
                    for key, value in items:
                        txn.put(key, value)
                return
            except lmdb.MapFullError:
                env.set_mapsize(2 * env.info()['map_size'])

    def write(self, quiet: bool = False) -> int:
        """Copy missing pictures, then read everything back and check it.

        Args:
            quiet (bool): Show no progress bar. Defaults to False.

        Returns:
            int: Number of pictures in the file.

        Raises:
            OSError: If a picture cannot be read or the disk is full.
            ValueError: If what is read back is not what was written, the
                target holds other pictures, or it is read-only.
        """
        check_output(self.target)
        close_all()  # the target must not be open in this process
        os.makedirs(osp.dirname(osp.abspath(self.target)), exist_ok=True)
        with self._alone():
            written, complete = self._progress()
            if not complete:
                with self._open_for_writing() as env:
                    self._copy(env, written, quiet)
            self.check(quiet)
            if not complete:
                with self._open_for_writing() as env:
                    header = self._header(len(self.source), complete=True)
                    self._put(env, [(HEADER, header)])
        return len(self.source)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Create the target and lock it against other processes.

        The lock is on the file itself and ends with the process. LMDB's own
        lock would leave a second file.
        """
        with open(self.target, 'ab') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OSError(f'another process is writing {self.target!r}; '
                              'wait for it') from error
            yield

    @contextmanager
    def _open_for_writing(self) -> Iterator[Any]:
        """Open the target; raise OSError if LMDB cannot write."""
        lmdb = import_lmdb()
        size = osp.getsize(self.target)
        try:
            with lmdb.open(
                    self.target,
                    subdir=False,
                    lock=False,
                    map_size=max(_FIRST_MAP_SIZE, 2 * size)) as env:
                yield env
        except lmdb.Error as error:
            if not size and osp.getsize(self.target) < 2 * mmap.PAGESIZE:
                os.truncate(self.target, 0)  # LMDB's header is incomplete
            raise OSError(
                f'{self.target!r} cannot be written ({error}); make room and '
                'run the same command again, it will resume') from error

    def _copy(self, env: Any, written: int, quiet: bool) -> None:
        total = len(self.source)
        with _bar(
                total=total,
                initial=written,
                unit='pictures',
                desc='copying',
                disable=quiet) as bar:
            for start in range(written, total, _CHUNK):
                stop = min(start + _CHUNK, total)
                items = [(str(i).encode(), pack_record(self.source.read(i)))
                         for i in range(start, stop)]
                items.append((HEADER, self._header(stop)))
                self._put(env, items)
                bar.update(stop - start)
        self._put(env, list(self._tables().items()))

    def check(self, quiet: bool = False) -> None:
        """Read everything back and check it, pictures by their checksums.

        Args:
            quiet (bool): Show no progress bar. Defaults to False.

        Raises:
            ValueError: If a record, the paths or the labels are missing or
                damaged.
        """
        env = open_for_reading(self.target)
        names = _bar(
            self.source.names, unit='pictures', desc='checking', disable=quiet)
        try:
            with env.begin(buffers=True) as txn:
                for index, name in enumerate(names):
                    read_record(txn, index, name)
                for key, value in self._tables().items():
                    if txn.get(key) != value:
                        raise ValueError(
                            f'its record {key.decode()} is missing or is not '
                            'what was written')
        except (BrokenPictureError, ValueError, import_lmdb().Error) as error:
            raise ValueError(
                f'{self.target!r} is damaged: {error}; remove it and convert '
                'again') from error
        finally:
            env.close()
