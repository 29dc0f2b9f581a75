# Copyright (c) caco_ext authors. All rights reserved.
"""The parity command on the stored numbers, and on wrong ones."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / 'tests/data/reference'


def check(folder, *options):
    env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
    return subprocess.run([
        sys.executable,
        str(ROOT / 'tools/analysis_tools/check_parity.py'),
        str(folder), *options
    ],
                          env=env,
                          capture_output=True,
                          text=True,
                          timeout=600)


def copy(folder, *names):
    for name in names:
        shutil.copy(REFERENCE / f'{name}.npz', folder)


def change(folder, name, array, value):
    path = folder / f'{name}.npz'
    arrays = dict(np.load(path))
    arrays[array] = arrays[array] + value
    np.savez(path, **arrays)


def test_all_stored_numbers_are_met():
    result = check(REFERENCE, '--strict')
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    cases = {path.stem.rsplit('_', 1)[0] for path in REFERENCE.glob('*.npz')}
    assert len(lines) == len(cases) == 24
    assert all(' ok ' in line for line in lines), result.stdout


@pytest.mark.parametrize('array, value', [('s1_W', 1e-3), ('s0_dq0', 1e-4),
                                          ('s0_ce', float('nan'))])
def test_a_wrong_number_fails(tmp_path, array, value):
    name = 'caco_sym_world1_rank0'
    copy(tmp_path, name, 'lars_world1_rank0')
    change(tmp_path, name, array, value)
    result = check(tmp_path)
    assert result.returncode == 1
    failed, good = result.stdout.splitlines()
    assert 'caco_sym' in failed and 'FAILED' in failed and array in failed
    assert ' ok ' in good


def test_what_cannot_be_checked(tmp_path):
    """An unknown kind, a missing rank, an array nobody compares."""
    copy(tmp_path, 'lars_world1_rank0', 'caco_sym_world2_rank1',
         'knn_world1_rank0')
    shutil.copy(REFERENCE / 'lars_world1_rank0.npz',
                tmp_path / 'mystery_world1_rank0.npz')
    path = tmp_path / 'knn_world1_rank0.npz'
    np.savez(path, **dict(np.load(path)), extra=np.zeros(1))
    result = check(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    for text in ('mystery_world1_rank0', 'only files of rank(s) [1]',
                 'not compared: extra'):
        assert text in result.stdout
    assert check(tmp_path, '--strict').returncode == 1


def test_bad_folders(tmp_path):
    for folder in (tmp_path, tmp_path / 'none'):
        result = check(folder)
        assert result.returncode == 1 and str(folder) in result.stderr
    (tmp_path / 'lars_world1_rank0.npz').write_bytes(b'not an archive')
    result = check(tmp_path)
    assert result.returncode == 1 and 'error' in result.stdout
