"""The same global batch on one, two and four processes gives the same, also
where a run goes on with another number than it began with."""
import shutil

import pytest
import torch.distributed as dist
from mmengine.dist import get_world_size, is_main_process

from tests.helpers.distributed import run_distributed
from tests.helpers.tiny_runs import (METHODS, SHARDED, double_precision, read,
                                     record, stopped, train)

pytestmark = pytest.mark.slow

# Where the runs are stopped that another number goes on with.
MOMENTS = dict(
    AdCo=('fill', 2),
    AdCoSharded=('iter', 4),
    CaCo=('iter', 4),
    CLSA=('iter', 2),
    CARE=('epoch', 1))
# How many of the iterations came before.
BEFORE = dict(AdCo=0, AdCoSharded=4, CaCo=4, CLSA=2, CARE=4)
# The bank of 'AdCoSharded' is sharded over the ranks; what it is filled over
# depends on their number, so one process begins with another.
# Numbers that begin, those that go on, and with which methods.
CHANGES = {
    (1, 2): ('CaCo', 'CARE'),
    (2, 1): (*METHODS, 'AdCoSharded'),
    (2, 4): ('AdCo', 'AdCoSharded', 'CLSA'),
}
# With these four processes begin; with the others they go on.
FOUR = ('CaCo', 'CARE')
# Of 26 pictures the last batch has one for each of four ranks, and two ranks
# see a picture again.
UNEVEN = dict(
    AdCo=dict(model__memory__lr=1., model__memory__init='random'), CLSA={})


def options(method):
    """What other ranks cannot know is left out: batch statistics, which the
    necks alone synchronise here, as that takes most of the time, and the
    permutation that is drawn for several ranks."""
    changes = dict(
        randomness__diff_rank_seed=True,
        model__backbone__norm_cfg=dict(type='BN'),
        model__backbone__norm_eval=True)
    if method == 'AdCoSharded':
        changes.update(SHARDED)
    if method == 'CARE':
        changes.update(
            model__shuffle_bn=False,
            model__attention__norm_cfg=dict(type='SyncBN'),
            optim_wrapper__type='OptimWrapper')
    return changes


def run_of(how, data, folder, method, *hooks):
    return how(data, folder / method, method.replace('Sharded', ''), *hooks,
               **options(method))


def run(folder, data):
    """All that one number of processes does."""
    ranks = get_world_size()
    begins = {
        method
        for (before, _), methods in CHANGES.items() if before == ranks
        for method in methods
    }
    with double_precision():
        methods = METHODS if ranks < 4 else FOUR
        for method in dict.fromkeys((*methods, *begins)):
            run_of(train, data, folder / f'{ranks}', method)
            told = dict(
                type='ReliabilitySignal',
                moment=MOMENTS[method][0],
                number=MOMENTS[method][1])
            if method in begins:
                assert run_of(stopped, data, folder / f'from{ranks}', method,
                              [told]) == 143


def go_on(folder, data):
    """What this number goes on with, as far as it is there."""
    ranks = get_world_size()
    for (before, after), methods in CHANGES.items():
        source, target = (
            folder / f'{name}'
            for name in (f'from{before}', f'{before}to{after}'))
        if after != ranks or not source.exists():
            continue
        if is_main_process():
            shutil.copytree(source, target)
        if ranks > 1:
            dist.barrier()
        with double_precision():
            for method in methods:
                run_of(train, data, target, method)


def run_and_go_on(folder, data):
    run(folder, data)
    go_on(folder, data)
    if get_world_size() == 4:
        for method in UNEVEN:
            train(
                data,
                folder / 'uneven' / method,
                method,
                train_dataloader__drop_last=False,
                train_cfg__max_epochs=1,
                param_scheduler=[],
                randomness__diff_rank_seed=True,
                **UNEVEN[method])


@pytest.fixture(scope='module')
def runs(data, tmp_path_factory):
    """Path: Folder of all runs."""
    folder = tmp_path_factory.mktemp('numbers')
    run(folder, data)
    for ranks in (2, 4):
        run_distributed(run_and_go_on, ranks, folder, data, timeout=400)
    go_on(folder, data)
    return folder


def joined(folder, ranks, number):
    """What all ranks saw and gave in one iteration; they have to agree."""
    parts = [record(folder, rank)[number] for rank in range(ranks)]
    assert len({part['state'] for part in parts}) == 1, number
    losses = [float.fromhex(part['losses']['loss']) for part in parts]
    return (sum(
        (part['paths'] for part in parts),
        []), [sum(view) for view in zip(*(part['pixels'] for part in parts))],
            sum(losses) / ranks, float.fromhex(parts[0].get('memory', '0x0')))


def assert_equal(folder, ranks, other, other_ranks, numbers):
    """The same pictures and crops in the same order; equal losses, banks and
    queues; and an equal end."""
    for number in numbers:
        paths, pixels, loss, memory = joined(folder, ranks, number)
        expected = joined(other, other_ranks, number)
        assert (paths, pixels) == expected[:2]
        assert loss == pytest.approx(expected[2], rel=1e-5)
        assert memory == pytest.approx(expected[3], rel=1e-5)
    one, two = (
        read(path / 'epoch_2.pth')['state_dict'] for path in (folder, other))
    assert set(one) == set(two)
    for name, value in one.items():
        assert value.shape == two[name].shape
        error = (value.double() - two[name].double()).abs().max()
        assert error <= 1e-5 * (1 + two[name].double().abs().max()), name


@pytest.mark.parametrize('ranks, method',
                         [(2, method)
                          for method in METHODS] + [(4, method)
                                                    for method in FOUR])
def test_give_what_one_gives(ranks, method, runs):
    assert_equal(runs / f'{ranks}' / method, ranks, runs / '1' / method, 1,
                 range(6))


@pytest.mark.parametrize('ranks, method', [(2, 'AdCo'), (2, 'CaCo'),
                                           (4, 'CaCo')])
def test_agree_in_the_fill(ranks, method, runs):
    seen = [
        record(runs / f'{ranks}' / method, rank, 'fill')
        for rank in range(ranks)
    ]
    assert sorted(seen[0]) == [8, 16, 24, 32]
    assert all(one == seen[0] for one in seen)


@pytest.mark.parametrize('before, after, method',
                         [(*change, method) for change in CHANGES
                          for method in CHANGES[change]])
def test_number_changes_on_resume(before, after, method, runs):
    assert_equal(runs / f'{before}to{after}' / method, after,
                 runs / f'{before}' / method, before, range(BEFORE[method], 6))


@pytest.mark.parametrize('method', UNEVEN)
def test_uneven_data(method, runs):
    folder = runs / 'uneven' / method
    paths = [joined(folder, 4, number)[0] for number in range(4)]
    assert [len(batch) for batch in paths] == [8, 8, 8, 4]
    assert len(set(sum(paths, []))) == 26
