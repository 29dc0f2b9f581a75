import importlib.util
import subprocess
import sys
from importlib import metadata

import pytest

from caco_ext.compat import versions

GOOD = {
    'torch': '2.14.1+cpu',
    'torchvision': '0.29.1',
    'numpy': '1.26.4',
    'opencv-python': '4.11.0.86',
    'mmengine': '0.10.7',
    'mmcv': '2.0.1',
    'mmcls': '1.0.0rc6',
    'mmselfsup': '1.0.0',
    'mmdet': '3.3.0',
}
FORKS = {
    'torch': '2.14.1',
    'torchvision': '0.29.1',
    'numpy': '2.2.0',
    'opencv-python': '4.12.0.88',
    'onedl-mmengine': '0.10.12',
    'onedl-mmcv': '2.3.6',
    'onedl-mmpretrain': '1.3.6',
}
REQUIRES = {
    ('torchvision', '0.29.1'):
    ['numpy', 'torch==2.14.1', 'gdown; '
     'extra == "gdown"'],
    ('opencv-python', '4.11.0.86'): ['numpy>=1.23.5; python_version >= "3.9"'],
    ('opencv-python', '4.12.0.88'):
    ['numpy<2.3.0,>=2; python_version >= "3.9"'],
}


def pretend(monkeypatch, installed, pkg_resources=True):
    """Let the check see other packages than those that are there."""

    def version(name):
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(versions.metadata, 'version', version)
    monkeypatch.setattr(versions.metadata, 'requires',
                        lambda name: REQUIRES[name, installed[name]])
    monkeypatch.setattr(importlib.util, 'find_spec',
                        lambda name: pkg_resources or None)


@pytest.mark.parametrize('installed', [
    GOOD, FORKS, {
        k: v
        for k, v in GOOD.items() if k not in ('mmselfsup', 'mmcls')
    }, {
        k: v
        for k, v in GOOD.items() if not k.startswith('mm') or k == 'mmengine'
    }, {
        'mmcv-lite': '2.0.1',
        **{
            k: v
            for k, v in GOOD.items() if k != 'mmcv'
        }
    }
])
def test_accepts(monkeypatch, installed):
    pretend(monkeypatch, installed)
    assert versions.check_versions()[0]


@pytest.mark.parametrize('change, what, fix', [
    ({'mmcv-lite': '2.0.1'}, 'mmcv 2.0.1 and mmcv-lite 2.0.1',
     'pip uninstall -y mmcv mmcv-lite && pip install mmcv==2.0.1'),
    ({'mmcv': '2.1.0'}, 'mmselfsup 1.0.0 needs mmcv>=2.0.0rc4,<2.1.0, but '
     'mmcv 2.1.0', 'mmcv-lite==2.0.1'),
    ({'mmcv': None}, 'mmcv is not installed, which mmselfsup needs',
     'mmcv-lite==2.0.1'),
    ({'mmcv': None, 'mmselfsup': None, 'mmcls': None},
     'mmcv is not installed, which mmdet needs', 'mmcv-lite==2.0.1'),
    ({'mmengine': None}, 'mmengine is not installed', 'mmengine==0.10.7'),
    ({'mmcls': '0.25.0'}, 'mmcls 0.25.0', 'mmcls==1.0.0rc6'),
    ({'mmcls': None}, 'mmselfsup 1.0.0 needs mmcls', 'mmcls==1.0.0rc6'),
    ({'mmpretrain': '1.2.0'}, 'mmpretrain 1.2.0 is installed beside',
     'pip uninstall -y mmpretrain'),
    ({'torch': '2.13.0'}, 'torchvision 0.29.1 was built for torch==2.14.1',
     'torch==2.14.1'),
    ({'torch': None}, 'torch is not installed', 'pip install torch'),
    ({'numpy': '2.2.0'}, 'numpy 2.2.0', 'numpy<2'),
    ({'opencv-python': '4.12.0.88'}, 'opencv-python 4.12.0.88 needs numpy',
     'opencv-python<4.12'),
])  # yapf: disable
def test_refuses(monkeypatch, change, what, fix):
    installed = {**GOOD, **change}
    pretend(monkeypatch, {k: v for k, v in installed.items() if v})
    with pytest.raises(ImportError) as error:
        versions.check_versions()
    text = str(error.value)
    assert what in text and fix in text
    # Nothing but what is wrong: a cause and the way out for each problem.
    assert text.count('fix: ') >= 1 and 'assert' not in text


def test_of_engines_the_forks_one_stays(monkeypatch):
    # What `pip install "caco_ext[onedl]"` leaves: pip cannot replace.
    pretend(monkeypatch, {**FORKS, 'mmengine': '0.10.7'})
    with pytest.raises(ImportError) as error:
        versions.check_versions()
    text = str(error.value)
    assert text.count('fix: ') == 1
    assert 'pip uninstall -y mmengine onedl-mmengine && ' \
        'pip install onedl-mmengine==0.10.12' in text


def test_names_all_problems_at_once(monkeypatch):
    pretend(
        monkeypatch, {
            **GOOD, 'numpy': '2.2.0',
            'torch': '2.13.0'
        },
        pkg_resources=False)
    with pytest.raises(ImportError) as error:
        versions.check_versions()
    assert str(error.value).count('fix: ') == 3
    assert 'setuptools<81' in str(error.value)


def test_forks_need_no_pkg_resources(monkeypatch):
    pretend(monkeypatch, FORKS, pkg_resources=False)
    assert versions.check_versions()[0]


def test_check_imports_nothing_heavy():
    """What it needs of ``utils`` must work where mmengine is missing."""
    code = ('import sys\n'
            'from importlib import metadata\n'
            'def absent(name):\n'
            '    raise metadata.PackageNotFoundError(name)\n'
            'metadata.version = absent\n'
            'try:\n'
            '    import caco_ext\n'
            'except ImportError as error:\n'
            '    assert "fix: " in str(error)\n'
            'assert "caco_ext.compat.versions" in sys.modules\n'
            'heavy = {"torch", "numpy", "cv2", "mmcv", "mmengine",\n'
            '         "mmselfsup", "pkg_resources"} & set(sys.modules)\n'
            'assert not heavy, heavy')
    subprocess.run([sys.executable, '-c', code], check=True)
