"""Let torchvision download a data set, all of it or nothing."""
import os
import os.path as osp
import shutil
import tarfile
import zipfile
import zlib
from http.client import HTTPException
from typing import Any, Dict

# What torchvision's downloads and their unpacking raise. A ValueError says
# that an address is gone for good.
DOWNLOAD_ERRORS = (OSError, RuntimeError, ValueError, HTTPException, EOFError,
                   tarfile.TarError, zipfile.BadZipFile, zlib.error)
# Files that torchvision would download.
_ARCHIVES = ('.gz', '.tgz', '.zip', '.tar', '.xz', '.bz2', '.mat')


def download(cls: Any, name: str, options: Dict[str, Any]) -> None:
    """Download a data set, so that only a whole one takes its place.

    torchvision itself takes a folder for the data set that an interruption
    left half unpacked. So it works in a hidden folder here.

    Args:
        cls (type): Class of torchvision.
        name (str): Its name.
        options (dict): Its arguments, with ``root``.

    Raises:
        DOWNLOAD_ERRORS: It failed. ``root`` is as before.
    """
    root = options['root']
    part = osp.join(root, f'.{name}.part')
    if osp.exists(part):
        shutil.rmtree(part)  # of a process that was killed
    os.mkdir(part)
    try:
        _link_archives(root, part)
        cls(**dict(options, root=part, download=True))
        _move(part, root)
    finally:
        shutil.rmtree(part)


def _link_archives(root: str, part: str) -> None:
    """Let torchvision find the archives that are there already."""
    inner = [
        e.name for e in os.scandir(root)
        if e.is_dir(follow_symlinks=False) and not e.name.startswith('.')
    ]
    for folder in ('', *inner):
        for entry in os.scandir(osp.join(root, folder)):
            if entry.is_file() and entry.name.endswith(_ARCHIVES):
                os.makedirs(osp.join(part, folder), exist_ok=True)
                os.symlink(
                    osp.abspath(entry.path), osp.join(part, folder,
                                                      entry.name))


def _move(source: str, target: str) -> None:
    """Move what a folder holds, but no links, into another one."""
    for entry in list(os.scandir(source)):
        there = osp.join(target, entry.name)
        if entry.is_symlink():
            continue
        if entry.is_dir() and osp.isdir(there):
            _move(entry.path, there)
        else:
            os.replace(entry.path, there)
