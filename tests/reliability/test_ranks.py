"""Several processes: they agree, their number may change, none hangs."""
import os
import os.path as osp
import shutil
import socket
import subprocess
import sys
import time

import pytest
import torch
import torch.distributed as dist

from caco_ext.engine.hooks import NumbersGoneWrong
from tests.dist_utils import run_distributed
from .runs import assert_same, record, stopped, train
from .test_finite import poison

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
MOMENTS = (('CaCo', 'iter', 4), ('AdCo', 'fill', 2), ('CLSA', 'iter', 2),
           ('CARE', 'epoch', 1))
# The ranks that get the signal.
SIGNALLED = ((1, ), (0, 1), (0, ), (0, 1))


def name(method, moment, number):
    return f'{method}-{moment}{number}'


def stop_all(folder, data):
    """Runs that go through, and the same stopped; CARE goes on, too. The
    group is there already, so mmengine takes it over."""
    statuses = []
    for (method, moment, number), ranks in zip(MOMENTS, SIGNALLED):
        train(data, folder / method, method)
        told = dict(
            type='ReliabilitySignal',
            moment=moment,
            number=number,
            ranks=ranks)
        work_dir = folder / name(method, moment, number)
        statuses.append(stopped(data, work_dir, method, [told]))
    return statuses


def resume_all(folder, data, moments):
    for moment in moments:
        train(data, folder / name(*moment), moment[0])


def resume_here(folder, data):
    """On as many as before, beside those for other numbers."""
    resume_all(folder, data, MOMENTS)
    for moment in MOMENTS:
        assert_same(folder / name(*moment), folder / moment[0], ranks=2)


def poisoned(folder, data):
    """One rank comes to NaN."""
    with pytest.raises(NumbersGoneWrong) as caught:
        train(data, folder / 'stop', 'AdCo', [poison('input', 2, rank=1)])
    runner = train(
        data,
        folder / 'skip',
        'AdCo', [poison('input', 2, rank=1)],
        default_hooks__finite_check__max_skipped=1)
    return str(caught.value), runner.model.module.memory.columns


def uneven(folder, data):
    with pytest.raises(ValueError) as caught:
        train(
            data,
            folder,
            'AdCo',
            train_dataloader__dataset__indices=25,
            train_dataloader__drop_last=False,
            train_dataloader__sampler__round_up=False)
    return str(caught.value)


def broken(folder, data):
    """Each rank meets fewer broken pictures than it bears, both more."""
    with pytest.raises(RuntimeError) as caught:
        train(
            data,
            folder,
            'CLSA',
            default_hooks__broken=dict(type='BrokenPicturesHook'))
    return str(caught.value)


def everything(folder, data, spoilt):
    """To start processes takes longer than all that they do here."""
    results = dict(statuses=stop_all(folder / 'stopped', data))
    dist.barrier()
    if dist.get_rank() == 0:
        shutil.copytree(folder / 'stopped', folder / 'resumed')
    dist.barrier()
    resume_here(folder / 'resumed', data)
    for task, argument in ((poisoned, data), (uneven, data), (broken, spoilt)):
        results[task.__name__] = task(folder / task.__name__, argument)
    return results


@pytest.fixture(scope='module')
def on_two(data, tmp_path_factory):
    """(folder, what each of the two ranks came to)."""
    folder = tmp_path_factory.mktemp('two')
    spoilt = folder / 'pictures'
    shutil.copytree(data, spoilt)
    for i in range(14):
        (spoilt / f'{i:02d}.png').write_bytes(b'')
    return folder, run_distributed(everything, 2, folder, data, str(spoilt))


@pytest.fixture
def stopped_on_two(on_two):
    return on_two[0] / 'stopped'


def test_signals_to_one_or_to_all(on_two):
    """And resumed on two: bit-equal, as `everything` asserts."""
    for rank in on_two[1]:
        assert rank['statuses'] == [143] * 4


def test_all_stop_or_skip_together(on_two):
    (one, bank), (other, bank_1) = (rank['poisoned'] for rank in on_two[1])
    assert one == other
    assert one.count('.png') == 8
    assert 'rank 1: the loss is nan' in one
    assert torch.equal(bank, bank_1) and bank.isfinite().all()


def test_uneven_ranks_are_refused(on_two):
    for rank in on_two[1]:
        assert '25 pictures do not divide by 2 processes' in rank['uneven']


def test_broken_pictures_are_counted_together(on_two):
    one, other = (rank['broken'] for rank in on_two[1])
    assert one == other
    assert 'max_broken_share=0.1 allows; mend or remove them' in one


def joined(folder, ranks, number):
    """What the ranks saw in one iteration together, and the mean loss."""
    parts = [record(folder, rank)[number] for rank in range(ranks)]
    assert len({part.get('memory') for part in parts}) == 1
    losses = [float.fromhex(part['losses']['loss']) for part in parts]
    return (sum(
        (part['paths'] for part in parts),
        []), [sum(view) for view in zip(*(part['pixels'] for part in parts))],
            sum(losses) / ranks, float.fromhex(parts[0]['memory']))


@pytest.mark.parametrize('ranks', [1, 4])
def test_resumed_on_another_number(ranks, data, stopped_on_two, tmp_path):
    folder = tmp_path / 'runs'
    shutil.copytree(stopped_on_two, folder)
    # CARE's attention stack has batch norms of each rank.
    moments = MOMENTS[:3] if ranks == 1 else MOMENTS[:1]
    if ranks == 1:
        resume_all(folder, data, moments)
    else:
        run_distributed(resume_all, ranks, folder, data, moments)
    for method, moment, first in moments:
        first = first if moment == 'iter' else 0
        for number in range(first, 6):
            paths, pixels, loss, memory = joined(
                folder / name(method, moment, first or 2), ranks, number)
            whole = joined(stopped_on_two / method, 2, number)
            # the same pictures and crops in the same order
            assert (paths, pixels) == whole[:2]
            if number == first:
                # Later, what float32 rounds off has grown.
                assert loss == pytest.approx(whole[2], rel=1e-3)
                assert memory == pytest.approx(whole[3], rel=1e-3)


def test_another_global_batch_is_refused(data, stopped_on_two, tmp_path):
    folder = tmp_path / 'run'
    shutil.copytree(stopped_on_two / name(*MOMENTS[0]), folder)
    with pytest.raises(
            ValueError,
            match='global batch of 8 pictures, .*batch_size=4 on 1 process.*'
            'set train_dataloader.batch_size=8'):
        train(data, folder, 'CaCo', train_dataloader__batch_size=4)


def test_another_data_set_in_the_middle_of_an_epoch_is_refused(
        data, stopped_on_two, tmp_path):
    folder = tmp_path / 'run'
    shutil.copytree(stopped_on_two / name(*MOMENTS[0]), folder)
    with pytest.raises(ValueError, match='an epoch of 3 batches, .* makes 2'):
        train(
            data,
            folder,
            'CaCo',
            param_scheduler=[],
            train_dataloader__dataset__indices=16)


JOB = """
import sys
sys.path.insert(0, {root!r})
from tests.reliability.runs import train
import mmengine.dist as dist
dist.init_dist('pytorch', backend='gloo', timeout=15)
train({data!r}, {folder!r}, 'AdCo', [dict(
    type='ReliabilitySignal', moment='iter', number=2, ranks=(1, ),
    what={what!r})])
"""


def start_job(tmp_path, data, what, *command, **environment):
    script = tmp_path / 'job.py'
    script.write_text(
        JOB.format(
            root=ROOT, data=data, folder=str(tmp_path / 'run'), what=what))
    return subprocess.Popen(
        [sys.executable, *command, str(script)],
        env=dict(os.environ, **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True)


def test_a_rank_that_dies_ends_the_job(data, tmp_path):
    job = start_job(tmp_path, data, 'SIGKILL', '-m', 'torch.distributed.run',
                    '--standalone', '--nproc_per_node=2')
    output, _ = job.communicate(timeout=120)
    assert job.returncode == 1
    assert 'Signal 9 (SIGKILL) received' in output
    # long before any time limit
    died = os.path.getmtime(tmp_path / 'run' / 'record0.jsonl')
    assert time.time() - died < 30


def test_a_rank_that_hangs_ends_the_others(data, tmp_path):
    """After the time that dist_cfg sets: here 15 s, in the configs 600 s."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = str(probe.getsockname()[1])
    jobs = [
        start_job(
            tmp_path,
            data,
            'SIGSTOP',
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE='2',
            MASTER_ADDR='127.0.0.1',
            MASTER_PORT=port) for rank in range(2)
    ]
    try:
        output, _ = jobs[0].communicate(timeout=120)
        assert jobs[0].returncode == 1
        assert 'Timed out' in output or 'timeout' in output.lower()
        assert jobs[1].poll() is None
    finally:
        for job in jobs:
            job.kill()
        jobs[1].communicate()
