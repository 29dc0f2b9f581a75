"""Several processes stop, go on, refuse and skip together."""
import os
import shutil

import pytest
import torch
import torch.distributed as dist

from caco_ext.datasets.packing import PackSource
from caco_ext.datasets.shard_writer import make_writer
from caco_ext.engine.hooks import NonFiniteError
from caco_ext.utils import UsageError
from caco_ext.utils.run_lock import hold
from tests.helpers.distributed import run_distributed
from tests.helpers.tiny_runs import (SHARDED, assert_same, read, stopped,
                                     train, write_pictures)
from .test_finite import poison

pytestmark = pytest.mark.slow

MOMENTS = (('CaCo', 'iter', 4), ('AdCo', 'fill', 2), ('CLSA', 'iter', 2),
           ('CARE', 'epoch', 1))
# The ranks that get the signal.
SIGNALLED = ((1, ), (0, 1), (0, ), (0, 1))

# In the second epoch, and in its checkpoint; what the pictures are read from.
KILLED = (('AdCo', 'iter', 4, 'folder'), ('AdCo', 'save', 2, 'tar'),
          ('CaCo', 'iter', 6, 'parquet'), ('CLSA', 'iter', 5, 'tar'),
          ('CARE', 'iter', 4, 'parquet'))


def options(method):
    """A bank and a queue are sharded over the ranks, and a bank is whole.
    AdCo's keys are shuffled, as its norms are not synchronised."""
    plain = dict(model__backbone__norm_cfg__type='BN')
    return dict(AdCo=dict(SHARDED, **plain), CLSA=SHARDED).get(method, {})


def name(method, moment, number, *_):
    return f'{method}-{moment}{number}'


def stop_all(folder, data):
    """Runs that go through, and the same stopped; CARE goes on, too. The
    group is there already, so mmengine takes it over."""
    statuses = []
    for (method, moment, number), ranks in zip(MOMENTS, SIGNALLED):
        train(data, folder / method, method, **options(method))
        told = dict(
            type='ReliabilitySignal',
            moment=moment,
            number=number,
            ranks=ranks)
        work_dir = folder / name(method, moment, number)
        statuses.append(
            stopped(data, work_dir, method, [told], **options(method)))
    return statuses


def resume_all(folder, data, moments):
    for moment in moments:
        train(data, folder / name(*moment), moment[0], **options(moment[0]))


def resume_here(folder, data):
    """On as many as before, beside those for other numbers."""
    resume_all(folder, data, MOMENTS)
    for moment in MOMENTS:
        assert_same(folder / name(*moment), folder / moment[0], ranks=2)


def late(folder, data):
    """A signal to one rank is read an iteration later, without a log line
    that is due before, and at once at the end of the epoch."""
    saved = []
    with pytest.MonkeyPatch.context() as patch:
        # The job's own group serves.
        patch.delattr(dist, 'new_group')
        for number in (1, 3):
            work_dir = folder / str(number)
            told = dict(
                type='ReliabilitySignal',
                moment='iter',
                number=number,
                ranks=(1, ))
            quiet = dict(default_hooks__logger__interval=100)
            assert stopped(data, work_dir, 'CLSA', [told], **quiet) == 143
            saved.append(read(work_dir / 'stopped.pth')['meta']['iter'])
    return saved


def poisoned(folder, data):
    """One rank comes to NaN."""
    with pytest.raises(NonFiniteError) as caught:
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


def busy(folder, data):
    """Another process, which started the two, trains there."""
    with pytest.raises(UsageError) as caught:
        train(data, folder, 'CLSA')
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
    for task, argument in ((late, data), (poisoned, data), (uneven, data),
                           (broken, spoilt), (busy, data)):
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
    with hold(str(folder / 'busy')):
        return folder, run_distributed(everything, 2, folder, data,
                                       str(spoilt))


@pytest.fixture
def stopped_on_two(on_two):
    return on_two[0] / 'stopped'


def test_signals_to_one_or_to_all(on_two):
    """And resumed on two: bit-equal, as `everything` asserts."""
    for rank in on_two[1]:
        assert rank['statuses'] == [143] * 4


def test_a_signal_is_read_a_step_late(on_two):
    for rank in on_two[1]:
        assert rank['late'] == [2, 3]


@pytest.fixture
def sources(data, tmp_path, monkeypatch):
    """dict: The same pictures in each format; those of the shards are looked
    up by the first run, on both ranks at once."""
    monkeypatch.setenv('CACO_EXT_CACHE', str(tmp_path / 'cache'))
    found = dict(folder=data)
    for kind in ('tar', 'parquet'):
        found[kind] = str(tmp_path / kind)
        make_writer(kind, PackSource(data), found[kind], '', 7).write(True)
    return found


def killed(folder, data, method, moment, number, *_):
    told = dict(
        type='ReliabilitySignal',
        moment=moment,
        number=number,
        ranks=(0, 1),
        what='SIGKILL')
    train(data, folder, method, [told], **options(method))


def resume_killed(folder, sources):
    for case in KILLED:
        train(
            sources[case[-1]],
            folder / name(*case),
            case[0],
            resume=True,
            **options(case[0]))


def test_sigkill(sources, stopped_on_two, tmp_path):
    """On from the last checkpoint. Runs from shards equal the whole ones from
    the folder."""
    for case in KILLED:
        folder = tmp_path / name(*case)
        with pytest.raises(RuntimeError, match='left no result, .* -9'):
            run_distributed(killed, 2, folder, sources[case[-1]], *case)
        note = (folder / 'last_checkpoint').read_text()
        assert note.endswith('epoch_1.pth')
    assert len(list(tmp_path.glob('cache/shards/*.arrow'))) == 4
    run_distributed(resume_killed, 2, tmp_path, sources)
    for case in KILLED:
        assert_same(
            tmp_path / name(*case),
            stopped_on_two / case[0],
            ranks=2,
            other_source=case[-1] != 'folder')
    # a checkpoint has the columns of both
    state = read(tmp_path / name(*KILLED[1]) / 'epoch_2.pth')['state_dict']
    assert state['memory.columns'].shape == (16, 40)


def test_all_stop_or_skip_together(on_two):
    (one, bank), (other, bank_1) = (rank['poisoned'] for rank in on_two[1])
    assert one == other
    assert one.count('.png') == 8
    assert 'rank 1: the loss is nan' in one
    assert torch.equal(bank, bank_1) and bank.isfinite().all()


def test_uneven_ranks_are_refused(on_two):
    for rank in on_two[1]:
        assert '25 pictures do not divide by 2 processes' in rank['uneven']


def test_two_processes_are_refused_together(on_two):
    one, other = (rank['busy'] for rank in on_two[1])
    assert one == other
    assert f'process {os.getpid()} on ' in one


def test_broken_pictures_are_counted_together(on_two):
    one, other = (rank['broken'] for rank in on_two[1])
    assert one == other
    assert 'max_broken_share=0.1 allows; mend or remove them' in one


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
    fewer = write_pictures(tmp_path / 'fewer', 16)
    with pytest.raises(ValueError, match='an epoch of 3 batches, .* makes 2'):
        train(
            fewer,
            folder,
            'CaCo',
            default_hooks__setup_check__allow_cut_schedule=True)
