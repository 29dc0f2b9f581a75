import os.path as osp
import re
import shlex
import sys

import pytest

from caco_ext import doctor
from caco_ext.utils import environment
from tests.helpers import ROOT


def test_missing_configs(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, 'ROOT', str(tmp_path))
    finding = doctor._configs()
    assert finding.state == 'wrong' and 'install again' in finding.fix
    for name in ('configs', 'tools', 'model-index.yml'):
        (tmp_path / '.mim' / name).mkdir(parents=True)
    assert doctor._configs().state == 'ok'


def test_missing_start_up_file(monkeypatch):
    monkeypatch.delitem(sys.modules, 'caco_ext_startup', raising=False)
    assert 'start-up file' in doctor._bases().what


def test_start_up_file_switched_off(monkeypatch):
    monkeypatch.setenv('CACO_EXT_NO_STARTUP', '1')
    finding = doctor._bases()
    assert finding.state == 'note'
    assert finding.fix == 'unset CACO_EXT_NO_STARTUP'


def test_start_up_file_of_another_installation(monkeypatch, tmp_path):
    """A clone in front of the installed package, never installed itself."""
    from mmengine.config import Config
    gone = tmp_path / '.mim' / 'model-index.yml'
    monkeypatch.setitem(sys.modules, 'caco_ext_startup', sys)
    monkeypatch.setattr(Config, '_get_cfg_path',
                        lambda name, file: open(gone) and None)
    finding = doctor._bases()
    assert finding.state == 'wrong' and str(gone) in finding.what
    assert 'install again' in finding.fix


def test_missing_host(monkeypatch):
    monkeypatch.setattr(doctor, 'installed_version', lambda name: None)
    fix = doctor._hosts().fix
    for host in ('mmselfsup', 'mmpretrain', 'onedl'):
        assert host in fix
    assert fix.startswith('pip install "caco_ext[mmselfsup]" mmcv-lite==')
    # the version that tools/setup_env.sh installs
    lines = (ROOT / 'requirements/runtime.txt').read_text().splitlines()
    assert set(re.findall(r'[\w-]+==[\w.]+', fix)) < set(lines)


@pytest.mark.parametrize('absent, fix', [
    ((), None),
    (('umap-learn', ), 'pip install "caco_ext[report]"'),
    (('lmdb', 'onnx'), 'pip install "caco_ext[lmdb,export]"'),
])
def test_extras(monkeypatch, absent, fix):
    wanted = [
        f'{line}; extra == "{extra}"' for extra in doctor.EXTRAS
        for line in (ROOT /
                     f'requirements/{extra}.txt').read_text().split('\n')
        if line and line[0] != '#'
    ]
    assert len(wanted) >= 9
    monkeypatch.setattr(environment.metadata, 'requires', lambda name: wanted)
    monkeypatch.setattr(environment, 'installed_version', lambda name: None
                        if name in absent else '1.2')
    finding = doctor._extras()
    assert finding.state == ('note' if absent else 'ok')
    assert finding.fix == fix and '\n' not in finding.what
    assert finding.what.count('lacks') == len(absent)
    for name in absent:
        assert f'lacks {name}' in finding.what


def test_foreign_class_of_the_same_name(monkeypatch):
    from mmengine.registry import MODELS
    assert doctor._registered().state == 'ok'
    monkeypatch.setitem(MODELS.module_dict, 'AdCo', dict)
    finding = doctor._registered()
    assert finding.state == 'wrong' and "'AdCo'" in finding.what


@pytest.mark.parametrize('writable', [True, False])
def test_cache(monkeypatch, tmp_path, writable):
    monkeypatch.setenv('CACO_EXT_CACHE', str(tmp_path / 'a' / 'b'))
    # Whoever runs the tests as root may write everywhere.
    monkeypatch.setattr(doctor.os, 'access', lambda path, mode: writable)
    finding = doctor._cache()
    assert finding.state == ('ok' if writable else 'wrong')
    assert not (tmp_path / 'a').exists()


def test_a_gpu_is_to_be_checked(monkeypatch):
    import torch
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(doctor, 'gpus', lambda: ['H200', 'H200'])
    finding = doctor._device()
    assert finding.state == 'ok' and finding.what.startswith('GPU: H200, H200')
    python, tool = shlex.split(finding.what.rpartition(': ')[2])
    assert python == 'python' and osp.basename(tool) == 'gpu_check.py'
    assert open(tool).read().startswith('"""Check a GPU')
