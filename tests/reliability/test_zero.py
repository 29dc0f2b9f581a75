"""Optimizers whose state is sharded over two processes."""
import pytest
from mmengine.registry import OPTIMIZERS

import caco_ext  # noqa: F401
from tests.helpers.distributed import run_distributed
from tests.helpers.tiny_runs import METHODS, assert_same, stopped, train


def options(method, sharded):
    """An optimizer, whole or sharded; CaCo's is not one of torch."""
    optimizer = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4)
    if method == 'CaCo':
        optimizer = dict(type='CaCoLARS', lr=0.5, momentum=0.9)
    if sharded:
        optimizer.update(
            type='ZeroRedundancyOptimizer', optimizer_type=optimizer['type'])
    return dict(
        optim_wrapper=dict(
            _delete_=True, type='OptimWrapper', optimizer=optimizer))


def train_both(folder, data):
    """Each method with a whole state and with a sharded one; and that again,
    stopped in the second epoch and resumed. Gives each rank's share."""
    shares = {}
    told = dict(type='ReliabilitySignal', moment='iter', number=4)
    for method in METHODS:
        train(data, folder / 'whole' / method, method,
              **options(method, False))
        sharded = options(method, True)
        runner = train(data, folder / 'sharded' / method, method, **sharded)
        optimizer = runner.optim_wrapper.optimizer
        momenta = [
            value.numel() for state in optimizer.optim.state.values()
            for value in state.values()
        ]
        weights = [
            p.numel() for p in runner.model.parameters() if p.requires_grad
        ]
        shares[method] = sum(momenta), sum(weights)
        work_dir = folder / 'resumed' / method
        assert stopped(data, work_dir, method, [told], **sharded) == 143
        train(data, work_dir, method, **sharded)
    return shares


@pytest.fixture(scope='module')
def runs(data, tmp_path_factory):
    """(folder, what each of the two ranks gave)."""
    folder = tmp_path_factory.mktemp('zero')
    return folder, run_distributed(train_both, 2, folder, data, timeout=400)


@pytest.mark.slow
@pytest.mark.parametrize('method', METHODS)
def test_equals_a_whole_state(method, runs):
    """Losses, memory and key encoder in every iteration, and the end."""
    folder, _ = runs
    for name in ('sharded', 'resumed'):
        assert_same(folder / name / method, folder / 'whole' / method, ranks=2)


@pytest.mark.slow
@pytest.mark.parametrize('method', METHODS)
def test_each_rank_has_a_share(method, runs):
    (one, whole), (other, _) = (rank[method] for rank in runs[1])
    assert one + other == whole
    # Whole tensors are dealt out, so the shares are not equal.
    assert max(one, other) < 0.8 * whole


def test_one_process_is_refused():
    with pytest.raises(ValueError, match='this run has one; .*dist_train.sh'):
        OPTIMIZERS.build(
            dict(
                type='ZeroRedundancyOptimizer',
                optimizer_type='SGD',
                params=[],
                lr=1.))
