"""Versions, commit and hardware of a run.

Imports only Python's own modules, as mmengine and torch may be missing.
"""
import os
import os.path as osp
import platform
import subprocess
from glob import glob
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


def computes_bfloat16() -> bool:
    """Whether the GPU in use has instructions for bfloat16.

    ``torch.cuda.is_bf16_supported()`` also counts slow emulation.

    Returns:
        bool: True for NVIDIA's GPUs since Ampere, and for AMD's.
    """
    import torch
    return torch.cuda.get_device_capability() >= (8, 0)


def amp_dtype(device: str) -> str:
    """Type for mixed precision that suits a device.

    Args:
        device (str): Type of the device, such as 'cuda'.

    Returns:
        str: 'float16' for a GPU without bfloat16, otherwise 'bfloat16'.
    """
    is_old = device == 'cuda' and not computes_bfloat16()
    return 'float16' if is_old else 'bfloat16'


def why_no_gpu() -> Optional[str]:
    """Say why torch does not find the NVIDIA GPU of this machine.

    Returns:
        str | None: The reason and the way out. None if torch finds one, if
        there is none, or if ``CUDA_VISIBLE_DEVICES=-1`` asks for the CPU.
    """
    import torch
    visible = os.environ.get('CUDA_VISIBLE_DEVICES')
    if visible == '-1' or torch.cuda.is_available(
    ) or not glob('/dev/nvidia[0-9]*'):
        return None
    try:
        torch.cuda.init()
        return None
    except (RuntimeError, AssertionError) as error:  # a build without CUDA
        reason = str(error).partition('.')[0]
    fix = 'install a newer driver, or the build of torch for this one'
    if visible is not None and 'driver' not in reason and torch.version.cuda:
        reason = f'CUDA_VISIBLE_DEVICES={visible} hides it'
        fix = 'unset it or name a GPU, as in CUDA_VISIBLE_DEVICES=0'
    return (f'this machine has an NVIDIA GPU, but torch '
            f'{torch.__version__} (CUDA {torch.version.cuda}) cannot use it: '
            f'{reason}; {fix}, or set CUDA_VISIBLE_DEVICES=-1 to use the CPU')


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
