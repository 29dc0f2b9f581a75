"""The drift that TrainingMetricsHook logs and the report draws."""
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from caco_ext.engine.hooks import TrainingMetricsHook
from caco_ext.engine.hooks.training_metrics_hook import sum_of_turns
from caco_ext.models.memories import LearnableBank
from caco_ext.visualization import read_run
from tests.engine.test_training_hooks import config, run
from tests.helpers.distributed import run_distributed


def turned(columns, degrees):
    """Columns turned by so many degrees each, and twice as long."""
    away = torch.randn_like(columns)
    unit = F.normalize(columns, dim=0)
    away = F.normalize(away - (away * unit).sum(0) * unit, dim=0)
    return 2 * (
        unit * degrees.deg2rad().cos() + away * degrees.deg2rad().sin())


def test_sum_of_turns():
    torch.manual_seed(0)
    columns = torch.randn(16, 10000)  # more than a piece
    degrees = torch.rand(10000) * 180
    total = sum_of_turns(columns, turned(columns, degrees))
    assert float(total) == pytest.approx(float(degrees.sum()), rel=1e-4)
    small = torch.full((10000, ), 0.1)
    half = F.normalize(columns, dim=0).half()
    mean = sum_of_turns(half, turned(columns, small)) / 10000
    assert float(mean) == pytest.approx(0.1, abs=0.01)
    assert float(sum_of_turns(half, columns)) / 10000 < 0.02


def test_drift_of_a_run(tmp_path):
    metrics = dict(type='TrainingMetricsHook', interval=1, bank_drift=True)
    cfg = config(tmp_path / 'run')
    cfg['default_hooks']['metrics'] = metrics
    run(cfg)
    cfg = config(
        tmp_path / 'run',
        resume=True,
        resume_changes='apply',
        train_cfg=dict(by_epoch=True, max_epochs=3))
    cfg['default_hooks']['metrics'] = metrics
    run(cfg)
    drift = read_run(str(tmp_path / 'run')).drift
    assert list(drift) == [1, 2, 3]
    states = [
        torch.load(tmp_path / f'run/epoch_{epoch}.pth') for epoch in (1, 2, 3)
    ]
    banks = [state['state_dict']['memory.columns'] for state in states]
    for epoch, before, now in zip((2, 3), banks, banks[1:]):
        angles = F.cosine_similarity(before, now, dim=0).clamp(max=1).arccos()
        assert drift[epoch] == pytest.approx(
            float(angles.rad2deg().mean()), abs=0.03)
        assert drift[epoch] > 0.1


def runner_of(memory, written, done=0):

    def add_scalars(values, step, **kwargs):
        written.append((values, step))

    return SimpleNamespace(
        model=SimpleNamespace(memory=memory),
        train_loop=SimpleNamespace(batches_done=done),
        visualizer=SimpleNamespace(add_scalars=add_scalars),
        epoch=4,
        timestamp='now')


def drift_of_ranks(shard):
    """Every rank turns its columns by its own angle."""
    rank = torch.distributed.get_rank()
    torch.manual_seed(0)
    memory = LearnableBank(40, 16, init='random', shard=shard)
    torch.manual_seed(99)  # not what columns were drawn from
    written = []
    hook = TrainingMetricsHook(bank_drift=True)
    runner = runner_of(memory, written)
    hook.before_train_epoch(runner)
    held = hook._columns is not None
    degrees = torch.full(memory.columns.shape[1:], 3. + 2 * rank * shard)
    memory.columns.copy_(turned(memory.columns, degrees))
    hook.after_train_epoch(runner)
    return held, written


def test_drift_of_a_sharded_and_of_a_whole_bank():
    for shard, mean in ((True, 4.), (False, 3.)):
        said = run_distributed(drift_of_ranks, 2, shard)
        # of a whole bank the main process tells
        assert [held for held, _ in said] == [True, shard]
        (values, epoch), = said[0][1]
        assert values['bank/drift'] == pytest.approx(mean, abs=0.02)
        assert epoch == 5


def test_epochs_without_a_drift():
    memory, written = LearnableBank(40, 16, init='random'), []
    queue = SimpleNamespace(reset_metrics=lambda: None)
    for options, one, done in ((dict(bank_drift=True), memory, 3),
                               ({}, memory, 0), (dict(bank_drift=True), queue,
                                                 0)):
        hook = TrainingMetricsHook(**options)
        hook.before_train_epoch(runner_of(one, written, done))
        hook.after_train_epoch(runner_of(one, written, done))
    assert not written
