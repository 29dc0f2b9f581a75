"""Names of data sets that consist of several files."""
import fnmatch
import glob
import hashlib
import os
import os.path as osp
import re
from typing import List, Tuple

from caco_ext.utils.text import first_of
from .folders import is_folder, list_folder

TAR, PARQUET, ARROW = '.tar', '.parquet', '.arrow'
SHARD_KINDS = (TAR, PARQUET, ARROW)
# 'train-000012.tar', 'train-00000-of-00002.parquet', 'train_3.tar'
_NUMBER = re.compile(r'(.*?)[-_.]?\d+(?:-of-\d+)?')
_BRACES = re.compile(r'(.*?)\{(\d+)\.\.(\d+)\}(.*)')


def group_of(name: str) -> str:
    """Glob pattern of all shards of the same part.

    Args:
        name (str): Name of a file, such as 'train-000012.tar'.

    Returns:
        str: Such as 'train-*.tar'; the name itself if it has no number.
    """
    stem, kind = osp.splitext(name)
    found = _NUMBER.fullmatch(stem)
    if kind.lower() not in SHARD_KINDS or not found:
        return name
    return f'{found[1]}{stem[len(found[1]):len(found[1]) + 1]}*{kind}' \
        if found[1] else f'*{kind}'


def kind_of_shards(root: str) -> str:
    """Find by its name whether a root is one shard or several.

    Args:
        root (str): A file, a glob, 'name-{000..146}.tar', or an address
            that fsspec reads.

    Returns:
        str: One of :data:`SHARD_KINDS`; '' for anything else.
    """
    kind = osp.splitext(root.partition('::')[0])[1].lower()
    return kind if kind in SHARD_KINDS and not osp.isdir(root) else ''


def is_remote(path: str) -> bool:
    """Whether a path is an address, such as 's3://bucket/train-0.tar'."""
    return re.match(r'[a-z][a-z0-9+.-]+://', path) is not None


def expand_shards(root: str) -> List[str]:
    """List the files that a name stands for.

    Args:
        root (str): A file, a glob, 'name-{000..146}.tar', or an address.

    Returns:
        list[str]: Paths, sorted; ranges in braces in their order.

    Raises:
        FileNotFoundError: There is no file, or one of a range is missing.
    """
    braces = _BRACES.fullmatch(root)
    if braces:
        start, first, last, end = braces.groups()
        paths = [
            f'{start}{number:0{len(first)}d}{end}'
            for number in range(int(first),
                                int(last) + 1)
        ]
        paths = [path for one in paths for path in expand_shards(one)] \
            if _BRACES.fullmatch(end) else paths
    elif glob.has_magic(root) and not is_remote(root) and not osp.exists(root):
        paths = _fitting(root)
        if not paths:
            raise FileNotFoundError(f'no file fits {root!r} (working '
                                    f'directory {os.getcwd()!r}); correct '
                                    'data_root')
    elif is_remote(root) and '*' in root:
        raise FileNotFoundError(
            f'{root!r}: a * stands for files of this machine only; write '
            'the numbers of an address as {000000..000146}')
    else:
        paths = [root]
    if not paths:
        raise FileNotFoundError(
            f'{root!r} names no file: write the lower number of a range first')
    missing = [
        path for path in paths if not is_remote(path) and not osp.isfile(path)
    ]
    if missing:
        raise FileNotFoundError(
            f'{root!r} names {len(paths)} files, and {len(missing)} are '
            f'missing: {first_of(map(repr, missing))}; copy them there or '
            'correct data_root')
    return paths


def _fitting(pattern: str) -> List[str]:
    """Sorted paths that match a glob. An existing folder is no pattern."""
    folder, name = osp.split(pattern)
    if not osp.isdir(folder or '.'):
        return sorted(glob.glob(pattern))
    return sorted(
        osp.join(folder, one)
        for one in fnmatch.filter(os.listdir(folder or '.'), name)
        if not one.startswith('.'))


def stamp_of(path: str) -> Tuple[int, int]:
    """Size in bytes and modification time in ns of a local file."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def cached_name(path: str, ending: str) -> str:
    """Path in the cache for data derived from one file.

    Args:
        path (str): The file, or an address.
        ending (str): Ending of the path.

    Returns:
        str: Path below ``$CACO_EXT_CACHE``, else
        ``$XDG_CACHE_HOME/caco_ext``, else ``~/.cache/caco_ext``.
    """
    root = os.environ.get('CACO_EXT_CACHE') or osp.join(
        os.environ.get('XDG_CACHE_HOME') or osp.expanduser('~/.cache'),
        'caco_ext')
    where = path if is_remote(path) else osp.realpath(path)
    digest = hashlib.sha256(os.fsencode(where)).hexdigest()[:16]
    return osp.join(root, 'shards', f'{osp.basename(path)}.{digest}{ending}')


def _shards(folder: str) -> List[str]:
    """Names of the shards that lie in a folder."""
    if not osp.isdir(folder):
        return []
    return [
        entry.name for entry in list_folder(folder)
        if osp.splitext(entry.name)[1].lower() in SHARD_KINDS
        and not is_folder(entry)
    ]


def data_folder(folder: str) -> str:
    """Choose a folder's subfolder 'data' if the shards lie there.

    Args:
        folder (str): Where to look, such as a repository of Hugging Face.

    Returns:
        str: The subfolder, or the folder itself.
    """
    inner = osp.join(folder, 'data')
    if _shards(folder) or not _shards(inner):
        return folder
    others = [e for e in list_folder(folder) if is_folder(e)]
    return inner if len(others) == 1 else folder


def _only_lmdb(folder: str) -> str:
    """The LMDB file that a folder holds, if it holds nothing else."""
    entries = list_folder(folder) if osp.isdir(folder) else []
    if len(entries) == 1 and entries[0].name.endswith('.lmdb') and not (
            is_folder(entries[0])):
        return entries[0].path
    return ''


def _inner_shards(folder: str) -> str:
    """A glob of the shards in the folders of a folder; '' if there are none
    or several kinds."""
    entries = list_folder(folder) if osp.isdir(folder) else []
    kinds = {
        osp.splitext(name)[1]
        for entry in entries if is_folder(entry)
        for name in _shards(entry.path)
    }
    return osp.join(glob.escape(folder), '*',
                    f'*{kinds.pop()}') if len(kinds) == 1 else ''


def shards_in(folder: str, everything: bool) -> str:
    """Find the shards in a folder, or the LMDB file that is all it holds.

    Args:
        folder (str): Where to look.
        everything (bool): Combine shards of all names, and of the folders in
            it.

    Returns:
        str: A glob, or the LMDB file; '' if there are none.

    Raises:
        ValueError: There are shards of several kinds or names.
    """
    names = _shards(folder)
    if not names:
        return _only_lmdb(folder) or everything and _inner_shards(folder) or ''
    kinds = sorted({osp.splitext(name)[1] for name in names})
    groups = sorted({group_of(name) for name in names})
    if len(kinds) > 1 or len(groups) > 1 and not everything:
        raise ValueError(
            f'{folder!r} holds shards of several data sets or parts '
            f'({first_of(groups, 5)}); set data_root to one of these')
    return osp.join(folder, groups[0] if len(groups) == 1 else f'*{kinds[0]}')
