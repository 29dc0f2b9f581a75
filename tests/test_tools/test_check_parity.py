# Copyright (c) caco_ext authors. All rights reserved.
"""The parity command on the stored numbers, and on wrong ones."""
import shutil

import numpy as np
import pytest

from tests.helpers import ROOT
from tests.helpers.processes import run_tool

REFERENCE = ROOT / 'tests/data/reference'


@pytest.fixture
def check(call_tool, capsys):
    """Run the command in this process: what it ended with and printed."""

    def call(*arguments):
        status = 0
        try:
            call_tool('analysis_tools/check_parity', *arguments)
        except SystemExit as end:
            status = end.code
        return status, capsys.readouterr().out

    return call


def copy(folder, *names):
    for name in names:
        shutil.copy(REFERENCE / f'{name}.npz', folder)


def change(folder, name, array, value):
    path = folder / f'{name}.npz'
    arrays = dict(np.load(path))
    arrays[array] = arrays[array] + value
    np.savez(path, **arrays)


def test_all_stored_numbers_are_met(tmp_path):
    output = run_tool(
        'analysis_tools/check_parity.py', REFERENCE, '--strict', cwd=tmp_path)
    lines = [line for line in output.splitlines() if ' rank(s) ' in line]
    cases = {path.stem.rsplit('_', 1)[0] for path in REFERENCE.glob('*.npz')}
    assert len(lines) == len(cases) == 24
    assert all(' ok ' in line for line in lines), output


@pytest.mark.parametrize('array, value', [('s1_W', 1e-3), ('s0_dq0', 1e-4),
                                          ('s0_ce', float('nan'))])
def test_a_wrong_number_fails(check, tmp_path, array, value):
    name = 'caco_sym_world1_rank0'
    copy(tmp_path, name, 'lars_world1_rank0')
    change(tmp_path, name, array, value)
    status, output = check(tmp_path)
    assert status == 1
    failed, good = output.splitlines()
    assert 'caco_sym' in failed and 'FAILED' in failed and array in failed
    assert ' ok ' in good


def test_what_cannot_be_checked(check, tmp_path):
    """An unknown kind, a missing rank, an array nobody compares."""
    copy(tmp_path, 'lars_world1_rank0', 'caco_sym_world2_rank1',
         'knn_world1_rank0')
    shutil.copy(REFERENCE / 'lars_world1_rank0.npz',
                tmp_path / 'mystery_world1_rank0.npz')
    path = tmp_path / 'knn_world1_rank0.npz'
    np.savez(path, **dict(np.load(path)), extra=np.zeros(1))
    status, output = check(tmp_path)
    assert status == 0, output
    for text in ('mystery_world1_rank0', 'only files of rank(s) [1]',
                 'not compared: extra'):
        assert text in output
    assert check(tmp_path, '--strict')[0] == 1


def test_bad_folders(check, tmp_path):
    for folder in (tmp_path, tmp_path / 'none'):
        message, _ = check(folder)
        assert str(folder) in message
    (tmp_path / 'lars_world1_rank0.npz').write_bytes(b'not an archive')
    status, output = check(tmp_path)
    assert status == 1 and 'error' in output
