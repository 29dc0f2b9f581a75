"""tools/benchmarks/speed/gpu_check.py, on a machine without a GPU."""
import json
import multiprocessing
import os
import time
import warnings
from importlib import import_module

import pytest
import torch

from tests.helpers import ROOT
from tests.helpers.processes import run_tool
from .test_train import refusal

TOOL = 'benchmarks/speed/gpu_check'
CPU = '--device', 'cpu', '--tiny'
SECTIONS = ('parity', 'steps', 'waits', 'parallel', 'bank', 'views', 'speed',
            'compile')


@pytest.fixture
def part(monkeypatch):
    """Import a module of the tool."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools/benchmarks/speed'))
    return import_module


@pytest.fixture
def forked(part, monkeypatch):
    """The process of the sections is a fork, so that it has what a test
    changes; gives a function that puts another section in."""
    worker = part('gpu_worker')
    monkeypatch.setattr(worker, 'CONTEXT', multiprocessing.get_context('fork'))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a fork has none of the others

    def replace(name, function):
        module, old, _ = worker.SECTIONS[name]
        monkeypatch.setattr(part(module), old, function)

    yield replace
    torch.set_num_threads(threads)


def bad_run(call_tool, tmp_path, *arguments):
    """The rows of a run that ends with status 1."""
    with pytest.raises(SystemExit) as end:
        call_tool(TOOL, *CPU, '--json', tmp_path / 'a.json', *arguments)
    assert end.value.code == 1
    return json.loads((tmp_path / 'a.json').read_text())['rows']


@pytest.mark.slow
def test_all_sections_run_on_a_cpu(tmp_path):
    path = tmp_path / 'check.json'
    out = run_tool(f'{TOOL}.py', *CPU, '--json', path, cwd=tmp_path)
    report = json.loads(path.read_text())
    rows = report['rows']
    assert {row['verdict'] for row in rows} == {'ok', 'ran', 'measured'}
    assert tuple(dict.fromkeys(row['section'] for row in rows)) == SECTIONS
    assert report['tiny'] and report['device'] == 'cpu'
    assert report['hardware'] in out and report['versions']['torch'] in out
    assert f'{len(rows)} rows, 0 to look at' in out
    whats = [row['what'] for row in rows]
    for method in ('AdCo', 'CaCo', 'CLSA', 'CARE'):
        for kind in ('fp32', 'bf16'):
            assert f'{method} {kind}' in whats
        assert f'DDP, {method} fp32' in whats
    assert sum(row['section'] == 'parity' for row in rows) >= 20
    # Float32 is not float64, so these errors were measured.
    errors = [row['values'].get('error') for row in rows]
    assert sum(error is not None and 0 < error < 1e-4 for error in errors) > 10
    rates = [row['values'].get('pictures_per_second') for row in rows]
    assert sum(rate is not None and rate > 0 for rate in rates) == 5


def test_wrong_number(call_tool, part, forked, monkeypatch, tmp_path, capsys):
    numbers = part('gpu_numbers')
    right = numbers.bank_gradient
    monkeypatch.setattr(
        numbers,
        'bank_gradient',
        lambda *args, scale=1, **kwargs: right(
            *args, scale=1.001 * scale, **kwargs))
    rows = bad_run(call_tool, tmp_path, '--only', 'parity')
    wrong = [row['what'] for row in rows if row['verdict'] == 'WRONG']
    # At the other temperature float32 itself may be so far off.
    assert wrong == ['gradient of the bank, temperature 0.08']
    assert {row['verdict'] for row in rows} == {'ok', 'WRONG'}
    assert f'{len(rows)} rows, 1 to look at' in capsys.readouterr().out


def test_one_section_hangs_and_one_dies(call_tool, forked, tmp_path, capsys):
    """The next ones still run, each in a process that works."""
    forked('bank', lambda check: time.sleep(100))
    forked('views', lambda check: os._exit(3))
    forked('speed', lambda check: check.say('all', 'ok'))
    start = time.monotonic()
    rows = bad_run(call_tool, tmp_path, '--only', 'bank,views,speed',
                   '--budget', '8')
    assert time.monotonic() - start < 8
    assert [(row['section'], row['verdict'])
            for row in rows] == [('bank', 'cut'), ('views', 'ERROR'),
                                 ('speed', 'ok')]
    assert 'status 3' in rows[1]['note']
    assert 'not all was checked' in capsys.readouterr().out


def test_an_error_is_a_row(call_tool, forked, tmp_path):

    def fail(check):
        with check.guard('first'):
            raise ValueError('no such number')
        check.say('second', 'ok')

    forked('bank', fail)
    rows = bad_run(call_tool, tmp_path, '--only', 'bank')
    assert [(row['what'], row['verdict'], row['note'])
            for row in rows] == [('first', 'ERROR', 'no such number'),
                                 ('second', 'ok', '')]


def test_what_comes_after_the_end_is_left_out(call_tool, forked, tmp_path):
    forked('bank', lambda check: time.sleep(100))
    forked('speed', lambda check: check.say('all', 'ok'))
    rows = bad_run(call_tool, tmp_path, '--only', 'bank,speed', '--budget',
                   '.01')
    assert [row['verdict'] for row in rows] == ['cut', 'left out']


def test_waits_are_counted_by_place(part):
    """torch reports a wait by a warning; here Python gives it."""
    rows = []
    check = part('gpu_rows').Check('waits', 'cpu', True, rows.append)
    check.on_gpu = True
    with part('gpu_waits').Waits() as waits:
        for _ in range(3):
            warnings.warn('called a synchronizing CUDA operation')
        warnings.warn('something else')
    waits.report(check, 'a step')
    with part('gpu_waits').Waits() as none:
        pass
    none.report(check, 'another')
    assert [(row.verdict, row.values['waits'])
            for row in rows] == [('WAITS', 3), ('ok', 0)]
    assert '3 x test_tools/test_gpu_check.py:' in rows[0].note


@pytest.mark.parametrize('arguments, said', [
    (('--only', 'parity,sped'), "there is no section 'sped'; use parity, "),
    (('--budget', '0'), '--budget 0 must be above 0 seconds'),
    (('--json', '.'), 'is a folder; name a file'),
    (('--device', 'cuda'), 'finds no GPU here; python -m caco_ext says why'),
])
def test_refusals(call_tool, monkeypatch, arguments, said):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert said in refusal(call_tool, TOOL, *CPU, *arguments)
