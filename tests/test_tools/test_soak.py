"""tools/benchmarks/soak.py, its training replaced by processes that leak."""
import os
import signal
import sys
import time

import pytest

from tests.helpers import ROOT
from tests.helpers.processes import run

TRAINER = '''
import os, sys, time
open('arguments', 'w').write('\\n'.join(sys.argv))
open('pid', 'w').write(str(os.getpid()))
held = []
for i in range({steps}):
    time.sleep(.05)
    {leak}
'''


@pytest.fixture
def soak(call_tool, monkeypatch, tmp_path):
    """Callable: Soak with a trainer that does something in each step."""
    monkeypatch.setenv('PYTHON', str(tmp_path / 'python'))
    monkeypatch.setenv('PORT', '1234')

    def call(leak, *arguments, steps=30):
        script, trainer = tmp_path / 'trainer.py', tmp_path / 'python'
        script.write_text(TRAINER.format(steps=steps, leak=leak))
        # Not the script's own first line: a path may hold a space.
        # The launcher asks by -c whether its port is free.
        trainer.write_text('#!/bin/sh\n[ "$1" != -c ] || exit 0\n'
                           f'exec {sys.executable!r} -S '
                           f'{str(script)!r} "$@"\n')
        trainer.chmod(0o755)
        call_tool('benchmarks/soak', 'c.py', '--out', 'run', '--seconds',
                  '.03', *arguments)

    return call


@pytest.mark.slow
def test_flat(soak, tmp_path, capsys):
    soak('pass', '--iterations', '100', '--cfg-options', 'model.a=1', 'b=2')
    memory, files, last = capsys.readouterr().out.splitlines()
    assert 'MB: ' in memory and 'open files: ' in files
    # 255 pictures in batches of 2 x 8: epochs of 15
    assert last.startswith('105 iterations of 2 processes, ')
    arguments = (tmp_path / 'arguments').read_text().splitlines()
    assert '--nproc_per_node=2' in arguments
    assert 'train_cfg.max_epochs=7' in arguments
    # those of the command line come behind the tool's own
    assert arguments[-4:] == ['model.a=1', 'b=2', '--launcher', 'pytorch']


@pytest.mark.slow
@pytest.mark.parametrize('leak, what', [
    ('held.append(bytearray(b"x" * 2**20))', 'memory in MB'),
    ('held.append(open(os.devnull))', 'open files'),
])
def test_leaks_are_found(leak, what, soak):
    with pytest.raises(SystemExit) as caught:
        soak(leak)
    assert caught.value.code.endswith(f'error: {what} grew by more than 5%')


def test_memory_limit_ends_the_training(soak):
    with pytest.raises(SystemExit, match='ended with status 1; its log is in'):
        soak('held.append(bytearray(2**29))', '--memory-gb', '1')


def test_too_short(soak):
    with pytest.raises(SystemExit, match='readings are too few to judge'):
        soak('pass', steps=2)


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGKILL'])
def test_its_end_ends_the_training(name, soak, tmp_path):
    pid = os.fork()
    if not pid:
        try:
            soak('pass', steps=1200)
        finally:
            os._exit(0)
    try:
        job = tmp_path / 'pid'
        deadline = time.monotonic() + 30
        while not (job.exists() and job.read_text()):
            assert time.monotonic() < deadline
            time.sleep(.02)
    finally:
        os.kill(pid, getattr(signal, name))
        os.waitpid(pid, 0)
    job = int(job.read_text())
    deadline = time.monotonic() + 10
    while os.path.exists(f'/proc/{job}'):
        # a container's first process may never ask how its orphans ended
        with open(f'/proc/{job}/stat') as file:
            if file.read().rpartition(')')[2].split()[0] == 'Z':
                break
        assert time.monotonic() < deadline
        time.sleep(.02)


def test_each_method_with_a_small_network(tmp_path):
    """soak.sh names configs and options that there are."""
    from mmengine.config import Config, DictAction

    from caco_ext.utils import check_options
    fake = tmp_path / 'python'
    fake.write_text('#!/bin/sh\nprintf "<%s>" "$@"\necho\n')
    fake.chmod(0o755)
    output = run(
        'bash',
        f'{ROOT}/tools/benchmarks/soak.sh',
        'out',
        '--iterations',
        '9',
        cwd=tmp_path,
        PYTHON=str(fake))
    calls = [
        line[1:-1].split('><') for line in output.splitlines()
        if line[0] == '<'
    ]
    assert [call[3] for call in calls
            ] == [f'out/{m}' for m in ('adco', 'caco', 'clsa', 'care')]
    for call in calls:
        assert call[4:8] == ['--share', '0.2', '--iterations', '9']
        place = call.index('--cfg-options') + 1
        pairs = (pair.split('=') for pair in call[place:])
        options = {
            key: DictAction._parse_iterable(value)
            for key, value in pairs
        }
        cfg = Config.fromfile(call[1])
        check_options(cfg, options)
        cfg.merge_from_dict(options)
        assert cfg.model.backbone.base_channels == 8
        assert cfg.model.neck.in_channels == 64
