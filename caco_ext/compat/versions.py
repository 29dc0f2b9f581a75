# Licensed under the Apache License, Version 2.0.
"""Refuse combinations of packages that cannot work."""
import importlib.util
from importlib import metadata
from typing import Callable, Dict, List, Sequence, Tuple

from caco_ext.utils.environment import installed_version

# Result of a remedy: whether it is in force, and why.
Outcome = Tuple[bool, str]

# Distributions with the same import name; one of each may be installed.
_PROVIDERS = {
    'mmengine': ('mmengine', 'mmengine-lite', 'onedl-mmengine'),
    'mmcv': ('mmcv', 'mmcv-lite', 'mmcv-full', 'onedl-mmcv'),
    'mmpretrain': ('mmpretrain', 'onedl-mmpretrain'),
}
_OPENCV = ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python',
           'opencv-contrib-python-headless')
# Versions that the packages assert of each other when they are imported.
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
    'mmpretrain': {
        'mmengine': '>=0.8.3,<1.0.0',
        'mmcv': '>=2.0.0,<2.4.0',
    },
}
# Packages that import mmcv. This package itself does not.
_USERS_OF_MMCV = ('mmselfsup', 'mmcls', 'mmpretrain', 'mmdet',
                  'mmsegmentation')
_FIXES = {
    'mmengine': 'mmengine==0.10.7',
    'mmcv': 'mmcv-lite==2.0.1',
    'mmcls': 'mmcls==1.0.0rc6',
}


def providers(module: str) -> Dict[str, str]:
    """Return {distribution: version} of all that provide ``module``."""
    found = {
        name: installed_version(name)
        for name in _PROVIDERS.get(module, (module, ))
    }
    return {name: ver for name, ver in found.items() if ver is not None}


def _installed(names: Sequence[str]) -> List[str]:
    """Return those of ``names`` that are installed."""
    return [name for name in names if installed_version(name) is not None]


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

    def fits(version: str, wanted: str) -> bool:
        return SpecifierSet(wanted).contains(version, prereleases=True)

    problems = []
    for module in ('torch', 'torchvision', 'numpy'):
        if installed_version(module) is None:
            problems.append(
                (f'{module} is not installed', f'pip install {module}'))
    needed = dict(mmengine=['caco_ext'], mmcv=_installed(_USERS_OF_MMCV))
    for module, users in needed.items():
        found = providers(module)
        if not found and users:
            problems.append(
                (f'{module} is not installed, which {users[0]} needs',
                 f'pip install {_FIXES[module]}'))
        elif len(found) > 1:
            names = ' and '.join(f'{n} {v}' for n, v in found.items())
            # pip removes the files that both own, so the one to keep must be
            # installed again. Forks go with forks.
            keep = min(found, key=len)
            if _installed(['onedl-mmpretrain']):
                keep = f'onedl-{module}'
            problems.append(
                (f'{names} are installed together and overwrite each other '
                 f'(both are `import {module}`)',
                 f'pip uninstall -y {" ".join(found)} && '
                 f'pip install {keep}=={found[keep]}'))
    for host, needs in _NEEDS.items():
        host_version = installed_version(host)
        if host_version is None:
            continue
        for module, wanted in needs.items():
            found = providers(module)
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
    if installed_version('mmselfsup') is not None:
        for name, version in providers('mmpretrain').items():
            problems.append(
                (f'{name} {version} is installed beside mmselfsup: both '
                 'register the same modules and cannot be imported together',
                 f'pip uninstall -y {name} (or mmselfsup)'))
    problems += _binary_problems(fits)
    return problems


def _binary_problems(fits: Callable) -> List[Tuple[str, str]]:
    """List problems of torchvision, numpy, OpenCV and setuptools."""
    problems = []
    torch_v, vision_v = installed_version('torch'), installed_version(
        'torchvision')
    if torch_v and vision_v:
        wanted = _wanted_by('torchvision', 'torch')
        if not fits(torch_v, wanted):
            problems.append(
                (f'torchvision {vision_v} was built for torch{wanted}, but '
                 f'torch {torch_v} is installed',
                 f'pip install "torch{wanted}" torchvision=={vision_v}'))
    numpy_v = installed_version('numpy')
    old_mmcv = [n for n in providers('mmcv') if not n.startswith('onedl')]
    if numpy_v and old_mmcv and not fits(numpy_v, '<2'):
        problems.append((f'numpy {numpy_v} is installed, but {old_mmcv[0]} '
                         'relies on the integer rules of numpy 1',
                         'pip install "numpy<2" "opencv-python<4.12"'))
    elif numpy_v:
        for name in _OPENCV:
            version = installed_version(name)
            if version and not fits(numpy_v, _wanted_by(name, 'numpy')):
                problems.append(
                    (f'{name} {version} needs '
                     f'numpy{_wanted_by(name, "numpy")}, but numpy {numpy_v} '
                     'is installed', f'pip install "numpy<2" "{name}<4.12"'))
    # mmengine uses pkg_resources to find other packages' configs.
    if 'mmengine' in providers('mmengine') and importlib.util.find_spec(
            'pkg_resources') is None:
        problems.append(
            ('there is no `pkg_resources` (setuptools has dropped it), which '
             'mmengine needs to read configs of other packages',
             'pip install "setuptools<81"'))
    return problems


def check_versions() -> Outcome:
    """Refuse combinations of packages that cannot work, in one message.

    What breaks: mmselfsup 1.0.0 and mmcls 1.0.0rc6 assert versions of mmcv and
    mmengine one at a time; mmcv with mmcv-lite, mmselfsup with mmpretrain,
    torchvision with another torch, mmcv 2.0 with numpy 2 and OpenCV >= 4.12
    with numpy < 2 fail later and in obscure places; mmengine 0.10 needs
    ``pkg_resources``, which setuptools 81 dropped.

    Remedy: read the versions (nothing is imported) and say all of it at once.
    mmselfsup may be absent.

    Needed while these releases are hosts.

    Raises:
        ImportError: If the combination is not supported; the message lists
            each problem with the command that fixes it.
    """
    problems = _version_problems()
    if problems:
        lines = [f'  - {what}\n    fix: {fix}' for what, fix in problems]
        raise ImportError('caco_ext cannot work with the installed packages:'
                          '\n' + '\n'.join(lines))
    return True, 'the installed versions fit each other'
