"""Versions, commit and hardware of a run.

Imports only Python's own modules, as mmengine and torch may be missing.
"""
import os
import os.path as osp
import platform
import subprocess
from importlib import metadata
from typing import Dict, List, Optional

from caco_ext.version import __version__

# Packages that a report of a set-up or of a result names.
PACKAGES = ('torch', 'torchvision', 'mmengine', 'onedl-mmengine', 'mmcv',
            'mmcv-lite', 'onedl-mmcv', 'mmcls', 'mmselfsup', 'mmpretrain',
            'onedl-mmpretrain', 'mmdet', 'onedl-mmdetection', 'mmsegmentation',
            'onedl-mmsegmentation', 'numpy', 'opencv-python', 'scikit-learn',
            'pycocotools')
_PACKAGE = osp.dirname(osp.dirname(osp.abspath(__file__)))


def installed_version(name: str) -> Optional[str]:
    """Return the installed version of a distribution, None if absent."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def missing_packages(extra: str) -> List[str]:
    """Name the packages of an extra that are not installed.

    Args:
        extra (str): An extra of caco_ext.

    Returns:
        list[str]: Their names. Empty if caco_ext itself is not installed, as
        in a clone on ``PYTHONPATH``: then its extras are unknown.
    """
    from packaging.requirements import Requirement
    if installed_version('caco_ext') is None:
        return []
    wanted = map(Requirement, metadata.requires('caco_ext') or [])
    return [
        req.name for req in wanted
        if req.marker is not None and req.marker.evaluate({'extra': extra})
        and installed_version(req.name) is None
    ]


def versions() -> Dict[str, str]:
    """Versions of the packages that may affect a result.

    Returns:
        dict[str, str]: Versions by package, including Python. Packages that
        are not installed are left out.
    """
    found = dict(python=platform.python_version(), caco_ext=__version__)
    for name in PACKAGES:
        version = installed_version(name)
        if version is not None:
            found[name] = version
    return found


def commit() -> Optional[str]:
    """Commit of this package, if it is used from a clone.

    Returns:
        str | None: The hash, followed by ' and changes' if files differ from
        it. None outside a repository or without git.
    """

    def git(*args: str) -> str:
        return subprocess.run(['git', '-C', _PACKAGE, *args],
                              capture_output=True,
                              text=True,
                              timeout=20,
                              check=True).stdout.strip()

    try:
        # A wheel may be installed inside the repository of another project.
        git('ls-files', '--error-unmatch', 'version.py')
        changed = git('status', '--porcelain', '--untracked-files=no')
        return git('rev-parse', 'HEAD') + (' and changes' if changed else '')
    except (OSError, subprocess.SubprocessError):
        return None


def gpus() -> List[str]:
    """Names of the GPUs that torch finds, one for each."""
    import torch
    return [
        torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())
    ]


def hardware() -> str:
    """Processor, cores, memory and GPUs of this machine.

    Returns:
        str: Description in one line.
    """
    name = platform.processor() or platform.machine()
    if osp.isfile('/proc/cpuinfo'):
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            names = [line for line in file if line.startswith('model name')]
        name = names[0].partition(':')[2].strip() if names else name
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30
    return ', '.join([
        name, f'{len(os.sched_getaffinity(0))} cores', f'{memory:.0f} GiB',
        *gpus()
    ])
