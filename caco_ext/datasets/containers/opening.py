"""Open the container that a name means."""
import os.path as osp
from typing import Optional

from ..shards import TAR, is_remote, kind_of_shards
from .arrow_source import ArrowSource
from .container import Container
from .hub_source import PREFIX as HUB
from .hub_source import HubSource
from .lmdb_source import LMDBSource
from .tar_source import TarSource
from .torchvision_source import PREFIX, TorchvisionSource

_PACKED = ('.gz', '.tgz', '.bz2', '.xz', '.zst', '.zip', '.7z', '.rar')


def is_container(root: str) -> bool:
    """Whether a root is named like a data set that is no path."""
    return root.startswith((PREFIX, HUB))


def open_container(root: str, split: str) -> Optional[Container]:
    """Open the container that a root names.

    Args:
        root (str): An LMDB file, shards, 'hf:NAME', or 'torchvision:NAME',
            perhaps with ':FOLDER' behind it, where the data set is or goes
            (default 'data').
        split (str): The part, for those that have parts themselves.

    Returns:
        Container, optional: None for a folder or a list.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: torchvision has no such data set or part, the file is
            packed, or an address names no tar shards.
    """
    if root.startswith(PREFIX):
        name, _, folder = root[len(PREFIX):].partition(':')
        return TorchvisionSource(name, folder or 'data', split, download=True)
    if root.startswith(HUB):
        return HubSource(root[len(HUB):], split)
    if root.endswith('.lmdb') and not osp.isdir(root):
        return LMDBSource(root)
    kind = kind_of_shards(root)
    if is_remote(root) and kind != TAR:
        raise ValueError(
            f'{root!r} is an address of no tar shards; name some, such as '
            "'s3://bucket/train-{000000..000146}.tar', or copy the data set "
            'to this machine')
    if not kind and root.lower().endswith(_PACKED) and not osp.isdir(root):
        raise ValueError(
            f'{root!r} is packed, and single pictures in it cannot be read; '
            'unpack it (tar -xf, unzip, gunzip, zstd -d, ...) and set '
            'data_root to what comes out')
    if not kind:
        return None
    return TarSource(root) if kind == TAR else ArrowSource(root)
