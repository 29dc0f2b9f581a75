"""``python -m caco_ext``: check whether the set-up is complete."""
import importlib
import importlib.util
import os
import os.path as osp
import platform
import shlex
import sys
from typing import Callable, Iterator, List, NamedTuple, Optional

from .compat import check_versions, remedies
from .utils.environment import (gpus, installed_version, missing_packages,
                                versions, why_no_gpu)
from .utils.extras import HOST_FIX
from .utils.startup import SWITCH

ROOT = osp.dirname(osp.abspath(__file__))
# Extras of the package that training does not need, and their purpose.
EXTRAS = {
    'report': 'reports and maps of features',
    'lmdb': 'LMDB files',
    'data': 'PhotoPatches, VOC07',
    'export': 'ONNX, .safetensors',
}


class Finding(NamedTuple):
    """Result of one check.

    Attributes:
        state (str): 'ok', 'note' if something optional is missing, or
            'wrong'.
        what (str): What was found.
        fix (str, optional): What to do about it.
    """
    state: str
    what: str
    fix: Optional[str] = None


def _versions() -> Finding:
    try:
        return Finding('ok', check_versions()[1])
    except ImportError as error:
        return Finding('wrong', str(error), 'the commands above')


def _hosts() -> Finding:
    for host in ('mmselfsup', 'mmpretrain', 'onedl-mmpretrain'):
        version = installed_version(host)
        if version is not None:
            return Finding('ok', f'host: {host} {version}')
    return Finding(
        'wrong', 'no host is installed: no config can train',
        f'{HOST_FIX} (or the extra mmpretrain, or onedl); in a clone: '
        'bash tools/setup_env.sh --host mmselfsup, mmpretrain or onedl')


def _configs() -> Finding:
    folder = osp.join(ROOT, '.mim')
    missing = [
        name for name in ('configs', 'tools', 'model-index.yml')
        if not osp.exists(osp.join(folder, name))
    ]
    if missing:
        return Finding(
            'wrong', f'{folder} has no {", ".join(missing)}: mim finds no '
            'config', 'install again: pip install . (or pip install -e .)')
    return Finding('ok', f'configs and tools for mim: {folder}')


def _bases() -> Finding:
    if os.environ.get(SWITCH):
        return Finding(
            'note', f'{SWITCH} is set, which switches the start-up file off: '
            "_base_ = 'caco_ext::...' cannot be read", f'unset {SWITCH}')
    if 'caco_ext_startup' not in sys.modules:
        return Finding(
            'wrong', "_base_ = 'caco_ext::...' cannot be read: the start-up "
            'file of the package is not installed in this environment',
            'install again: pip install . (or pip install -e .)')
    from mmengine.config import Config
    name = 'caco_ext::selfsup/_base_/default_runtime.py'
    try:
        path, _ = Config._get_cfg_path(name, __file__)
    except FileNotFoundError as error:  # the package has no .mim
        path = error.filename or str(error)
    if not osp.isfile(path):
        return Finding('wrong', f'{name} leads to {path}, which is not there',
                       'install again: pip install . (or pip install -e .)')
    return Finding('ok', "_base_ = 'caco_ext::selfsup/...' is understood")


def _registered() -> Finding:
    from mmengine.registry import HOOKS, MODELS, TRANSFORMS
    names = ((MODELS, ('AdCo', 'CaCo', 'CLSA', 'CARE', 'LearnableBank')),
             (HOOKS, ('BankFillHook', 'KNNHook')), (TRANSFORMS,
                                                    ('MultiCrop', )))
    for registry, wanted in names:
        for name in wanted:
            found = registry.get(name)
            if found is None or not found.__module__.startswith('caco_ext.'):
                return Finding(
                    'wrong', f'{name!r} in the registry {registry.name!r} is '
                    f'{found}, not of this package',
                    'another package registers the name: do not import both')
    return Finding('ok', 'algorithms, hooks and transforms are registered')


def _operators() -> Finding:
    if importlib.util.find_spec('mmcv') is None:
        return Finding('note', 'mmcv, which the hosts need, is not installed',
                       'pip install mmcv-lite==2.0.1')
    # Our replacement for a missing extension has no loader.
    spec = importlib.util.find_spec('mmcv._ext')
    if spec is None or spec.loader is None:
        return Finding(
            'note', 'mmcv has no compiled operators: pre-training and '
            'classification work, some detectors do not',
            'bash tools/setup_env.sh --with-ops')
    importlib.import_module('mmcv.ops')
    return Finding('ok', "mmcv's compiled operators load")


def _device() -> Finding:
    import torch
    if torch.cuda.is_available():
        tool = osp.join(ROOT, '.mim', 'tools/benchmarks/speed/gpu_check.py')
        return Finding(
            'ok', f'GPU: {", ".join(gpus())}; check it in five minutes: '
            f'python {shlex.quote(tool)}')
    reason = why_no_gpu()
    if reason is not None:
        return Finding('wrong', *reason.split('; ', 1))
    return Finding('note',
                   f'no GPU; {os.cpu_count()} CPU core(s) train with gloo')


def _cache() -> Finding:
    from .datasets.photo_patches import cache_folder
    try:
        folder = cache_folder()
    except ImportError as error:
        return Finding('note', f'cache: {error}')
    there = folder
    while not osp.exists(there):
        there = osp.dirname(there)
    if not os.access(there, os.W_OK):
        return Finding(
            'wrong', f'cannot write in {there}, where PhotoPatches '
            f'are to be kept ({folder})', 'export CACO_EXT_CACHE=FOLDER')
    return Finding('ok', f'cache: {folder}')


def _extras() -> Finding:
    missing = {extra: missing_packages(extra) for extra in EXTRAS}
    text = 'extras: ' + ', '.join(
        f'{extra} ({use}) ' +
        (f'lacks {" and ".join(missing[extra])}' if missing[extra] else 'ok')
        for extra, use in EXTRAS.items())
    incomplete = [extra for extra in EXTRAS if missing[extra]]
    if incomplete:
        return Finding('note', text,
                       f'pip install "caco_ext[{",".join(incomplete)}]"')
    return Finding('ok', text)


# Order matters: later checks import what earlier ones check.
CHECKS: List[Callable[[], Finding]] = [
    _versions, _hosts, _configs, _bases, _registered, _operators, _device,
    _cache, _extras
]


def examine() -> Iterator[Finding]:
    """Run all checks; stop if the rest could not be imported.

    Yields:
        Finding: In the order of ``CHECKS``.
    """
    for check in CHECKS:
        finding = check()
        yield finding
        if check is _versions and finding.state == 'wrong':
            return


def main() -> int:
    """Print versions, remedies and findings.

    Returns:
        int: 0 for a sound set-up, otherwise 1.
    """
    found = versions()
    print(f'caco_ext {found.pop("caco_ext")}, Python {found.pop("python")}, '
          f'{platform.platform()}')
    for name, version in found.items():
        print(f'  {name} {version}')
    if remedies():
        print('remedies for the hosts')
        for remedy in remedies():
            state = 'in force' if remedy.in_force else 'not needed'
            print(f'  {remedy.name}: {state} ({remedy.why})')
    print('set-up')
    wrong = 0
    for finding in examine():
        wrong += finding.state == 'wrong'
        print(f'  [{finding.state}] {finding.what}')
        if finding.fix:
            print(f'      fix: {finding.fix}')
    print(f'{wrong} thing(s) to mend' if wrong else 'the set-up is sound')
    return int(wrong > 0)
