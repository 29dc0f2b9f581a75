# Licensed under the Apache License, Version 2.0.
"""Remedies for defects of the host packages.

The host packages (mmengine, mmcv, mmcls, mmselfsup) are released and no
longer developed, while torch goes on. Each function below mends one defect
and does nothing where the defect is absent. :func:`apply` runs them all and
is called when ``caco_ext`` is imported, so that
``custom_imports = dict(imports=['caco_ext'])`` in a config is enough to make
a stock trainer work.
"""
import functools
import glob
import importlib.util
import os
from importlib import metadata
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

# Distributions that provide the same import name: one of each may be there.
_PROVIDERS = {
    'mmengine': ('mmengine', 'mmengine-lite', 'onedl-mmengine'),
    'mmcv': ('mmcv', 'mmcv-lite', 'mmcv-full', 'onedl-mmcv'),
    'mmpretrain': ('mmpretrain', 'onedl-mmpretrain'),
}
_OPENCV = ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python',
           'opencv-contrib-python-headless')
# What the packages assert about each other when they are imported.
_NEEDS = {
    'mmcls': {
        'mmengine': '>=0.4.0,<1.0.0',
        'mmcv': '>=2.0.0rc4,<2.1.0',
    },
    'mmselfsup': {
        'mmengine': '>=0.4.0,<1.0.0',
        'mmcv': '>=2.0.0rc4,<2.1.0',
        'mmcls': '>=1.0.0rc6,<1.1.0',
    },
}
_FIXES = {
    'mmengine': 'mmengine==0.10.7',
    'mmcv': 'mmcv-lite==2.0.1',
    'mmcls': 'mmcls==1.0.0rc6',
}


class Remedy(NamedTuple):
    """What :func:`remedies` reports about one remedy.

    Attributes:
        name (str): Name of the function in this module.
        in_force (bool): Whether it changed something.
        why (str): What it did, or why there was nothing to do.
    """
    name: str
    in_force: bool
    why: str


_ORDER: List[Callable[[], Tuple[bool, str]]] = []
_REPORT: Dict[str, Remedy] = {}


def _remedy(func: Callable[[], Tuple[bool, str]]) -> Callable:
    """Add ``func`` to the list that :func:`apply` works off."""
    _ORDER.append(func)
    return func


def _version(name: str) -> Optional[str]:
    """Return the installed version of a distribution, None if absent."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _providers(module: str) -> Dict[str, str]:
    """Return {distribution: version} of all that provide ``module``."""
    found = {n: _version(n) for n in _PROVIDERS.get(module, (module, ))}
    return {name: ver for name, ver in found.items() if ver is not None}


def _wanted_by(name: str, dependency: str) -> str:
    """Return the version range of ``dependency`` that ``name`` declares."""
    from packaging.requirements import Requirement
    ranges = []
    for line in metadata.requires(name) or []:
        req = Requirement(line)
        if req.name == dependency and (req.marker is None
                                       or req.marker.evaluate({'extra': ''})):
            ranges.append(str(req.specifier))
    return ','.join(r for r in ranges if r)


def _version_problems() -> List[Tuple[str, str]]:
    """List (what is wrong, how to mend it) of the installed packages."""
    from packaging.specifiers import SpecifierSet

    def fits(version, wanted):
        return SpecifierSet(wanted).contains(version, prereleases=True)

    problems = []
    for module in ('torch', 'torchvision', 'numpy'):
        if _version(module) is None:
            problems.append(
                (f'{module} is not installed', f'pip install {module}'))
    for module in ('mmengine', 'mmcv'):
        found = _providers(module)
        if not found:
            problems.append((f'{module} is not installed',
                             f'pip install {_FIXES[module]}'))
        elif len(found) > 1:
            names = ' and '.join(f'{n} {v}' for n, v in found.items())
            # pip removes the files that both own, so the one that is to stay
            # has to be installed again.
            keep = min(found, key=len)
            problems.append(
                (f'{names} are installed together and overwrite each other '
                 f'(both are `import {module}`)',
                 f'pip uninstall -y {" ".join(found)} && '
                 f'pip install {keep}=={found[keep]}'))
    for host, needs in _NEEDS.items():
        host_version = _version(host)
        if host_version is None:
            continue
        for module, wanted in needs.items():
            found = _providers(module)
            if not found and module == 'mmcls':
                problems.append(
                    (f'{host} {host_version} needs {module}{wanted}, which '
                     'is not installed', f'pip install {_FIXES[module]}'))
            for name, version in found.items():
                if not fits(version, wanted):
                    problems.append(
                        (f'{host} {host_version} needs {module}{wanted}, but '
                         f'{name} {version} is installed',
                         f'pip uninstall -y {name} && '
                         f'pip install {_FIXES[module]}'))
    if _version('mmselfsup') is not None:
        for name, version in _providers('mmpretrain').items():
            problems.append(
                (f'{name} {version} is installed beside mmselfsup '
                 f'{_version("mmselfsup")}: both register the same modules '
                 'and cannot be imported together',
                 f'pip uninstall -y {name} (or mmselfsup)'))
    problems += _binary_problems(fits)
    return problems


def _binary_problems(fits: Callable) -> List[Tuple[str, str]]:
    """List problems of torchvision, numpy, OpenCV and setuptools."""
    problems = []
    torch_v, vision_v = _version('torch'), _version('torchvision')
    if torch_v and vision_v:
        wanted = _wanted_by('torchvision', 'torch')
        if not fits(torch_v, wanted):
            problems.append(
                (f'torchvision {vision_v} was built for torch{wanted}, but '
                 f'torch {torch_v} is installed',
                 f'pip install "torch{wanted}" torchvision=={vision_v}'))
    numpy_v = _version('numpy')
    old_mmcv = [n for n in _providers('mmcv') if not n.startswith('onedl')]
    if numpy_v and old_mmcv and not fits(numpy_v, '<2'):
        problems.append((f'numpy {numpy_v} is installed, but {old_mmcv[0]} '
                         'computes with uint8 as numpy < 2 did',
                         'pip install "numpy<2" "opencv-python<4.12"'))
    elif numpy_v:
        for name in _OPENCV:
            version = _version(name)
            if version and not fits(numpy_v, _wanted_by(name, 'numpy')):
                problems.append(
                    (f'{name} {version} needs '
                     f'numpy{_wanted_by(name, "numpy")}, but numpy {numpy_v} '
                     'is installed', f'pip install "numpy<2" "{name}<4.12"'))
    # mmengine finds configs of other packages (`pkg::file.py`) with it.
    if 'mmengine' in _providers('mmengine') and importlib.util.find_spec(
            'pkg_resources') is None:
        problems.append(
            (f'setuptools {_version("setuptools")} has no `pkg_resources`, '
             'which mmengine needs to read configs of other packages',
             'pip install "setuptools<81"'))
    return problems


@_remedy
def check_versions() -> Tuple[bool, str]:
    """Refuse combinations of packages that cannot work, in one message.

    What breaks: mmselfsup 1.0.0 and mmcls 1.0.0rc6 assert versions of mmcv
    and mmengine one at a time; mmcv with mmcv-lite, mmselfsup with
    mmpretrain, torchvision with another torch, mmcv 2.0 with numpy 2 and
    OpenCV >= 4.12 with numpy < 2 fail later and in obscure places; mmengine
    0.10 needs ``pkg_resources``, which setuptools 81 dropped. Remedy: read
    the versions (nothing is imported) and say all of it at once. mmselfsup
    may be absent.

    Returns:
        tuple[bool, str]: Whether it is in force, and why.

    Raises:
        ImportError: If the combination is not supported; the message lists
            each problem with the command that mends it.
    """
    problems = _version_problems()
    if problems:
        lines = [f'  - {what}\n    fix: {fix}' for what, fix in problems]
        raise ImportError('caco_ext cannot work with the installed packages:'
                          '\n' + '\n'.join(lines))
    return True, 'the installed versions fit each other'


@_remedy
def mend_registry_locations() -> Tuple[bool, str]:
    """Point three registries of mmselfsup to a module that exists.

    What breaks: mmselfsup 1.0.0, ``Runner.train()`` ends with ``No module
    named 'mmselfsup.engine.runner'``, because RUNNERS, RUNNER_CONSTRUCTORS
    and LOOPS name it as their location and the release lacks it. Remedy: let
    them import ``mmselfsup.engine``.

    Returns:
        tuple[bool, str]: Whether it is in force, and why.
    """
    if _version('mmselfsup') is None:
        return False, 'mmselfsup is not installed'
    from mmselfsup import registry
    missing = 'mmselfsup.engine.runner'
    # `find_spec` would import mmselfsup.engine and with it all models.
    engine = os.path.join(os.path.dirname(registry.__file__), 'engine')
    if glob.glob(os.path.join(engine, 'runner*')):
        return False, f'this mmselfsup has {missing}'
    for reg in (registry.RUNNERS, registry.RUNNER_CONSTRUCTORS,
                registry.LOOPS):
        if missing in reg._locations:
            reg._locations = ['mmselfsup.engine']
    return True, f'mmselfsup names {missing}, which it does not contain'


def _history_method(owner: type, name: str) -> Callable:
    """Stand in for ``getattr`` when a checkpoint is read.

    Args:
        owner (type): Must be ``mmengine.logging.HistoryBuffer``.
        name (str): Must be one of its four statistics.

    Returns:
        Callable: The method.

    Raises:
        ValueError: If the checkpoint asks for anything else.
    """
    from mmengine.logging import HistoryBuffer
    if owner is not HistoryBuffer or name not in ('min', 'max', 'mean',
                                                  'current'):
        raise ValueError(f'the checkpoint asks for attribute {name!r} of '
                         f'{owner!r}; a checkpoint of mmengine only needs '
                         'min, max, mean and current of HistoryBuffer')
    return getattr(owner, name)


@_remedy
def allow_checkpoint_classes() -> Tuple[bool, str]:
    """Let ``torch.load`` read what mmengine writes into checkpoints.

    What breaks: torch >= 2.6 loads tensors and plain containers only, and
    mmengine 0.10 saves its message hub, so that ``--resume``, ``load_from``
    and ``init_cfg=Pretrained`` end with ``Weights only load failed``. Remedy:
    allow the classes found in such checkpoints and nothing else: numpy
    numbers and arrays of numbers, ``HistoryBuffer`` and ``ConfigDict``.
    ``getattr``, through which the statistics of a ``HistoryBuffer`` are
    pickled, is replaced by :func:`_history_method`, since the real one would
    open the door to everything. The check itself stays on.

    Returns:
        tuple[bool, str]: Whether it is in force, and why.
    """
    import torch
    if _release(torch.__version__) < (2, 6):
        return False, f'torch {torch.__version__} does not refuse them'
    import numpy as np
    from mmengine.config import ConfigDict
    from mmengine.logging import HistoryBuffer
    core = np.core if np.__version__.startswith('1.') else np._core
    allowed = [
        HistoryBuffer, ConfigDict, np.ndarray, np.dtype,
        (_history_method, 'builtins.getattr')
    ]
    # A file written beside numpy 2 is read beside numpy 1 and vice versa.
    for package in ('numpy.core', 'numpy._core'):
        allowed.append((core.multiarray._reconstruct,
                        f'{package}.multiarray._reconstruct'))
        allowed.append(
            (core.multiarray.scalar, f'{package}.multiarray.scalar'))
    allowed += [type(np.dtype(code)) for code in '?bBhHiIlLqQefd']
    torch.serialization.add_safe_globals(allowed)
    return True, f'torch {torch.__version__} loads with weights_only=True'


def _release(version: str) -> Tuple[int, ...]:
    """Return (major, minor) of a version string."""
    return tuple(int(part) for part in version.split('.')[:2])


def _no_accelerator() -> bool:
    """Return whether mmengine would put a model on the CPU."""
    from mmengine.device import get_device
    return get_device() == 'cpu'


def _on_cpu(init: Callable) -> Callable:
    """Make a launcher of mmengine leave CUDA alone where there is none."""

    @functools.wraps(init)
    def wrapper(backend, *args, **kwargs):
        if not _no_accelerator():
            return init(backend, *args, **kwargs)
        import torch
        set_device = torch.cuda.set_device
        torch.cuda.set_device = lambda device: None
        try:
            return init('gloo' if backend == 'nccl' else backend, *args,
                        **kwargs)
        finally:
            torch.cuda.set_device = set_device

    wrapper.caco_ext = True
    return wrapper


@_remedy
def launch_on_cpu() -> Tuple[bool, str]:
    """Make ``--launcher`` and DDP work where there is no accelerator.

    What breaks: mmengine 0.10, all launchers: ``torch.cuda.set_device`` is
    called unasked (``Found no NVIDIA driver``), the default backend nccl
    needs a GPU, and the runner passes ``device_ids=[LOCAL_RANK]``, which DDP
    refuses for parameters on the CPU. Remedy: without an accelerator start
    the process group without that call and with gloo in the place of nccl;
    drop ``device_ids`` when all parameters are on the CPU. On a machine with
    an accelerator nothing changes.

    Returns:
        tuple[bool, str]: Whether it is in force, and why.
    """
    from mmengine.dist import utils
    from mmengine.model import MMDistributedDataParallel
    for name in ('_init_dist_pytorch', '_init_dist_slurm', '_init_dist_mpi'):
        init = getattr(utils, name)
        if not hasattr(init, 'caco_ext'):
            setattr(utils, name, _on_cpu(init))
    ddp_init = MMDistributedDataParallel.__init__
    if not hasattr(ddp_init, 'caco_ext'):

        @functools.wraps(ddp_init)
        def init_without_devices(self, module, *args, **kwargs):
            if all(p.device.type == 'cpu' for p in module.parameters()):
                kwargs.update(device_ids=None, output_device=None)
            ddp_init(self, module, *args, **kwargs)

        init_without_devices.caco_ext = True
        MMDistributedDataParallel.__init__ = init_without_devices
    if _no_accelerator():
        return True, 'no accelerator: gloo takes the place of nccl'
    return False, 'an accelerator is there'


def apply() -> None:
    """Run every remedy, once per process, in the order of this file.

    Raises:
        ImportError: From :func:`check_versions`.
    """
    for func in _ORDER:
        if func.__name__ not in _REPORT:
            _REPORT[func.__name__] = Remedy(func.__name__, *func())


def remedies() -> List[Remedy]:
    """Report the remedies that :func:`apply` ran.

    Returns:
        list[Remedy]: (name, in_force, why) in the order of application.
    """
    return list(_REPORT.values())
