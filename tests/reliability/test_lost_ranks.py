"""A rank that dies or hangs ends the job, in a set time and with a message."""
import os
import signal
import socket
import time

import pytest

from tests.helpers import ROOT
from tests.helpers.distributed import process_context
from tests.helpers.processes import run
from tests.helpers.tiny_runs import train
from tests.helpers.warm_python import warm_python

pytestmark = pytest.mark.slow


def train_one(folder, data, what):
    """One rank of two; the second meets a signal."""
    from mmengine.dist import init_dist
    init_dist('pytorch', backend='gloo', timeout=10)
    train(data, folder, 'AdCo', [
        dict(
            type='ReliabilitySignal',
            moment='iter',
            number=2,
            ranks=(1, ),
            what=what)
    ])


JOB = """
import sys
sys.path.insert(0, {root!r})
from tests.reliability.test_lost_ranks import train_one
train_one({folder!r}, {data!r}, 'SIGKILL')
"""


def test_a_rank_that_dies_ends_the_job(data, tmp_path):
    script = tmp_path / 'job.py'
    script.write_text(
        JOB.format(root=str(ROOT), folder=str(tmp_path / 'run'), data=data))
    output = run(
        warm_python(),
        '-m',
        'torch.distributed.run',
        '--standalone',
        '--nproc_per_node=2',
        script,
        cwd=tmp_path,
        fails=True)
    assert 'Signal 9 (SIGKILL) received' in output
    # long before any time limit
    died = os.path.getmtime(tmp_path / 'run' / 'record0.jsonl')
    assert time.time() - died < 30


def as_rank(rank, port, output, folder, data):
    """A rank as a launcher starts it, its output in a file."""
    with open(output, 'w') as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE='2',
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=port)
    train_one(folder, data, 'SIGSTOP')


def test_a_rank_that_hangs_ends_the_others(data, tmp_path):
    """After the time that dist_cfg sets: here 10 s, in the configs 600 s."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = str(probe.getsockname()[1])
    ranks = [
        process_context().Process(
            target=as_rank,
            args=(rank, port, tmp_path / f'{rank}.txt', tmp_path / 'run',
                  data)) for rank in range(2)
    ]
    for rank in ranks:
        rank.start()
    try:
        ranks[0].join(120)
        assert ranks[0].exitcode == 1
        output = (tmp_path / '0.txt').read_text().lower()
        assert 'timed out' in output or 'timeout' in output
        with open(f'/proc/{ranks[1].pid}/stat') as file:
            assert file.read().rpartition(')')[2].split()[0] == 'T'
    finally:
        for rank in ranks:
            if rank.is_alive():
                os.kill(rank.pid, signal.SIGKILL)
            rank.join()
