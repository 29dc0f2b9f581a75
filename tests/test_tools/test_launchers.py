"""The shell scripts that start several processes."""
import json
import os
import re
import socket
import sys

import pytest
import torch

from tests.helpers import ROOT
from tests.helpers.processes import run, run_tool
from tests.helpers.warm_python import warm_python

TRAIN = ROOT / 'tools/train.py'


@pytest.mark.slow
def test_two_processes_train_and_test(trained, tmp_path):
    config = trained / 'tiny.py'
    output = run_tool(
        'dist_train.sh', config, '2', '--work-dir', 'a run', cwd=tmp_path)
    assert 'world_size: 2' in output or 'GPU number: 2' in output
    checkpoint = tmp_path / 'a run' / 'epoch_1.pth'
    saved = torch.load(checkpoint, map_location='cpu', weights_only=True)
    # 8 pictures, 4 a batch, two processes.
    assert saved['meta']['iter'] == 1
    run_tool(
        'dist_test.sh',
        config,
        checkpoint,
        '2',
        '--work-dir',
        'a run',
        cwd=tmp_path)
    metrics = json.loads(
        (tmp_path / 'a run' / 'test_epoch_1.json').read_text())
    assert 0 <= metrics['metrics']['knn/top1'] <= 100


def write_program(folder, name, text):
    """Put a bash program into a folder."""
    path = folder / name
    path.write_text(f'#!/usr/bin/env bash\n{text}\n')
    path.chmod(0o755)


@pytest.fixture
def launch(tmp_path):
    """Call a script where srun and python only print their arguments."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name in ('srun', 'fake-python'):
        write_program(
            folder, name, f'''
if [ "$1" = -c ]; then exec {sys.executable!r} "$@"; fi
echo "OMP $OMP_NUM_THREADS PORT $MASTER_PORT"
printf '<%s>' {name} "$@"''')

    def call(script, *arguments, **kwargs):
        kwargs = dict(dict(MASTER_PORT='', cwd=tmp_path), **kwargs)
        return run_tool(
            script,
            *arguments,
            PATH=f'{folder}:{os.environ["PATH"]}',
            PYTHON='fake-python',
            **kwargs)

    return call


def test_several_nodes(launch):
    output = launch(
        'dist_train.sh',
        'a config.py',
        '4',
        '--amp',
        NNODES='3',
        NODE_RANK='2',
        MASTER_ADDR='node0')
    assert output.endswith(
        '<fake-python><-m><torch.distributed.run><--nnodes=3><--node_rank=2>'
        '<--master_addr=node0><--master_port=29500><--nproc_per_node=4>'
        f'<{TRAIN}><a config.py><--amp><--launcher><pytorch>')


def test_jobs_on_one_machine_take_different_ports(launch):
    ports = set()
    for _ in range(2):
        output = launch('dist_train.sh', 'c.py', '1')
        assert '<--master_addr=127.0.0.1>' in output
        ports.add(output.partition('<--master_port=')[2].partition('>')[0])
    assert len(ports) == 2
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        port = str(taken.getsockname()[1])
        taken.listen()
        output = launch('dist_train.sh', 'c.py', '1', fails=True, PORT=port)
        assert output.startswith(
            f'dist_train.sh: error: PORT={port} is in use on this machine')
        assert output.count('\n') == 1
        # The first node alone listens there.
        several = dict(NNODES='2', MASTER_ADDR='m', NODE_RANK='1', PORT=port)
        launch('dist_train.sh', 'c.py', '1', **several)
    output = launch('dist_train.sh', 'c.py', '1', PORT=port)
    assert f'<--master_port={port}>' in output


@pytest.mark.parametrize('arguments, changes, message', [
    (['c.py'], {}, 'usage: dist_train.sh CONFIG GPUS'),
    (['c.py', 'two'], {}, 'GPUS=two is no whole number'),
    (['c.py', '0'], {}, 'GPUS=0 must be at least 1'),
    (['c.py', '1'], dict(NNODES='2'), 'NNODES=2 needs MASTER_ADDR'),
    (['c.py', '1'], dict(NODE_RANK='1'), 'ranks begin with 0'),
])
def test_wrong_numbers(arguments, changes, message, launch):
    output = launch('dist_train.sh', *arguments, fails=True, **changes)
    assert message in output.strip().splitlines()[-1]


def test_slurm_arguments(launch):
    output = launch(
        'slurm_train.sh',
        'part',
        'my job',
        'a config.py',
        '--amp',
        GPUS='16',
        CPUS_PER_TASK='5',
        SRUN_ARGS='--time=10 --mem=4G',
        PORT='4321')
    assert 'PORT 4321' in output
    assert output.endswith(
        '<srun><-p><part><--job-name=my job><--ntasks=16><--gres=gpu:8>'
        '<--ntasks-per-node=8><--cpus-per-task=5><--kill-on-bad-exit=1>'
        f'<--time=10><--mem=4G><fake-python><-u><{TRAIN}><a config.py>'
        '<--amp><--launcher><slurm>')
    output = launch(
        'slurm_train.sh',
        'part',
        'job',
        'c.py',
        GPUS='2',
        GPUS_PER_NODE='0',
        CPUS_PER_TASK='3')
    assert '<--ntasks=2><--cpus-per-task=3>' in output
    # Not the same port for every job that may share a node.
    assert 15000 <= int(re.search(r'PORT (\d+)', output).group(1)) < 30000


@pytest.mark.slow
def test_slurm_gives_each_worker_a_cpu(launch, tmp_path):
    config = tmp_path / 'a config.py'
    config.write_text('train_dataloader = dict(num_workers=8)')
    output = launch('slurm_train.sh', 'part', 'job', config, '--amp')
    assert '<--cpus-per-task=9>' in output
    output = launch(
        'slurm_train.sh', 'part', 'job', 'gone.py', fails=True, PORT='4321')
    last = output.strip().splitlines()[-1]
    assert last.startswith('slurm: error: ') and 'gone.py' in last
    assert '<srun>' not in output


@pytest.mark.slow
def test_slurm_runs(trained, tmp_path):
    write_program(tmp_path, 'scontrol', 'echo localhost')
    # Drops its own options up to the interpreter and runs the rest as the
    # only task of a job.
    write_program(
        tmp_path, 'srun', f'''
while [ "$1" != {warm_python()!r} ]; do shift; done
export SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_LOCALID=0 SLURM_NODELIST=localhost
exec "$@"''')
    run_tool(
        'slurm_train.sh',
        'part',
        'job',
        trained / 'tiny.py',
        '--work-dir',
        'run',
        cwd=tmp_path,
        GPUS='1',
        GPUS_PER_NODE='0',
        PATH=f'{tmp_path}:{os.environ["PATH"]}')
    assert (tmp_path / 'run' / 'epoch_1.pth').exists()


def test_slurm_is_missing(tmp_path):
    script = ROOT / 'tools/slurm_train.sh'
    output = run('bash', script, 'p', 'j', 'c.py', cwd=tmp_path, fails=True)
    assert output.strip() == ('slurm_train.sh: error: srun is not there; is '
                              'this a slurm node?')
