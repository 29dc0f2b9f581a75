"""Open Parquet and Arrow files, and copy one to the other."""
import os.path as osp
from typing import Any, Iterator

from mmengine.logging import print_log

from caco_ext.utils.extras import import_extra
from caco_ext.utils.files import take_turns, write_whole
from ..shards import ARROW, cached_name, stamp_of

_STAMP = b'caco_ext_stamp'


def import_arrow() -> Any:
    """Import pyarrow and the submodules that it does not import itself.

    Returns:
        module: pyarrow.

    Raises:
        MissingExtraError: It is not installed.
    """
    import_extra('pyarrow.parquet', 'data', 'A Parquet or Arrow file')
    return import_extra('pyarrow', 'data', 'A Parquet or Arrow file')


def read_schema(path: str) -> Any:
    """Read names, types and metadata of a file's columns.

    Args:
        path (str): A Parquet or Arrow file.

    Returns:
        pyarrow.Schema: Its schema.

    Raises:
        ValueError: It is damaged.
    """
    pa = import_arrow()
    if path.lower().endswith(ARROW):
        return _open_arrow(path).schema
    try:
        return pa.parquet.read_schema(path, memory_map=True)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def open_table(path: str) -> Any:
    """Open a file as a memory-mapped table.

    Reading one row of a Parquet file means decoding its whole row group. So
    such a file is copied once, row group by row group, to an Arrow file in
    the cache. Other processes wait for that copy.

    Args:
        path (str): A Parquet or Arrow file.

    Returns:
        pyarrow.Table: Its rows.

    Raises:
        OSError: The copy cannot be written.
        ValueError: The file is damaged.
    """
    if path.lower().endswith(ARROW):
        return _open_arrow(path)
    copy = cached_name(path, '.arrow')
    stamp = repr(stamp_of(path)).encode()
    try:
        with take_turns(f'{copy}.lock'):
            if not _is_copy(copy, stamp):
                _copy(path, copy, stamp)
    except OSError as error:
        raise OSError(
            f'{path!r} cannot be copied to {copy!r} '
            f'({error.strerror or error}); free some space there, or set '
            'CACO_EXT_CACHE to another folder') from error
    return _open_arrow(copy)


def _is_copy(copy: str, stamp: bytes) -> bool:
    """Whether a copy is there, whole and up to date."""
    if not osp.exists(copy):
        return False
    try:
        about = _open_arrow(copy).schema.metadata or {}
    except ValueError:
        print_log(f'{copy!r} is damaged and is made again', 'current')
        return False
    return about.get(_STAMP) == stamp


def _copy(path: str, copy: str, stamp: bytes) -> None:
    pa = import_arrow()
    try:
        source = pa.parquet.ParquetFile(
            path, memory_map=True, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    with source:
        print_log(
            f'copying the {source.metadata.num_rows} rows of {path!r} to '
            f'{copy!r}, where single ones can be read', 'current')
        about = dict(source.schema_arrow.metadata or {})
        about[_STAMP] = stamp
        schema = source.schema_arrow.with_metadata(about)

        def write(part: str) -> None:
            with pa.OSFile(part,
                           'wb') as file, pa.ipc.new_file(file,
                                                          schema) as writer:
                for batch in _batches(source, path):
                    writer.write_batch(batch.replace_schema_metadata(about))

        write_whole(copy, write)


def _batches(source: Any, path: str) -> Iterator[Any]:
    """Rows of a Parquet file. An error in here is one of reading."""
    try:
        yield from source.iter_batches(1000, use_threads=False)
    except (import_arrow().ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _open_arrow(path: str) -> Any:
    """Memory-map an Arrow file, in file format or in stream format."""
    pa = import_arrow()
    try:
        source = pa.memory_map(path)
        try:
            return pa.ipc.open_file(source).read_all()
        except pa.ArrowInvalid:
            source.seek(0)
            return pa.ipc.open_stream(source).read_all()
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: str, error: BaseException) -> ValueError:
    kind = 'Arrow' if path.lower().endswith(ARROW) else 'Parquet'
    first = str(error).partition('\n')[0]
    return ValueError(f'{path!r} is no whole {kind} file ({first}); copy it '
                      'again')
