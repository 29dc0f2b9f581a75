"""What acts on the results of KNNHook: with the numbers it acts on."""
import pytest
import torch
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.registry import HOOKS, LOOPS
from mmengine.runner import BaseLoop

from caco_ext.engine.hooks.knn_hook import KNNHook
from tests.engine.test_knn_hook import TEST, find_hook, make_hook, make_runner

STOP = dict(type='EarlyStoppingHook', monitor='knn/top1', patience=2)
PLATEAU = dict(
    type='ReduceOnPlateauLR',
    monitor='knn/top1',
    rule='greater',
    factor=0.1,
    patience=1)
WHOLE = dict(type='ResumableCheckpointHook', interval=100)


@pytest.fixture
def measured(monkeypatch):
    """Make evaluations give these numbers; the first is the untrained
    network's."""

    def give(*values):
        values = iter(values)
        monkeypatch.setattr(KNNHook, 'evaluate',
                            lambda *_, **__: {'knn/top1': next(values)})

    return give


@HOOKS.register_module(force=True)
class Reader(Hook):
    """Notes the results that it is told."""

    def __init__(self):
        self.told = []

    def after_val_epoch(self, runner, metrics=None):
        self.told.append((runner.epoch, metrics['knn/top1']))


@LOOPS.register_module(force=True)
class ToyValidation(BaseLoop):
    """A validation that finds another number."""

    def __init__(self, evaluator=None, **kwargs):
        super().__init__(**kwargs)

    def run(self):
        metrics = dict(acc=float(self.runner.epoch))
        self.runner.call_hook('after_val_epoch', metrics=metrics)


def run_with(folder, *hooks, epochs=8, **options):
    options = dict(dict(default_hooks=dict(checkpoint=WHOLE)), **options)
    runner = make_runner(
        folder, custom_hooks=[make_hook(), *hooks], epochs=epochs, **options)
    runner.train()
    return runner


def test_early_stopping_stops(tmp_path, measured):
    """At the second epoch in a row without a better one, with a checkpoint
    of that epoch and the untrained network's number left out."""
    measured(90., 30., 50., 45., 40., 99.)
    runner = run_with(tmp_path, STOP, dict(type='Reader'))
    assert runner.epoch == 4
    assert find_hook(runner, EarlyStoppingHook).best_score == 50.
    assert find_hook(runner, Reader).told == [(1, 30.), (2, 50.), (3, 45.),
                                              (4, 40.)]
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_4.pth']
    saved = torch.load(tmp_path / 'epoch_4.pth', weights_only=True)
    assert saved['meta']['iter'] == 8


@pytest.mark.slow
def test_early_stopping_counts_on_after_a_resumption(tmp_path, measured):
    measured(10., 50., 40.)
    run_with(tmp_path, STOP, epochs=2)
    measured(45., 99.)  # the second bad one in a row
    assert run_with(tmp_path, STOP, resume=True).epoch == 3
    # stopped is stopped: no further epoch, unless with more patience
    assert run_with(tmp_path, STOP, resume=True).epoch == 3
    measured(45., 45., 99.)
    runner = run_with(tmp_path, dict(STOP, patience=4), resume=True)
    assert runner.epoch == 5


def test_plateau_reduces_the_rate(tmp_path, measured):
    """After more than one epoch without a better one; what the last epoch
    gives changes no training."""
    measured(90., 30., 50., 50., 40., 60., 60.)
    runner = run_with(tmp_path, epochs=6, param_scheduler=[PLATEAU])
    assert runner.optim_wrapper.get_lr()['lr'] == [pytest.approx(0.005)]
    scheduler, = runner.param_schedulers
    assert scheduler.best == 60. and scheduler.num_bad_epochs == 0


def test_plateau_leaves_the_rate_while_it_rises(tmp_path, measured):
    measured(90., 30., 50., 50., 60.)
    runner = run_with(tmp_path, epochs=4, param_scheduler=[PLATEAU])
    assert runner.optim_wrapper.get_lr()['lr'] == [0.05]


@pytest.mark.slow
@pytest.mark.parametrize('hooks, options, message', [
    ([dict(STOP, monitor='knn/top5')
      ], {}, "monitor of EarlyStoppingHook='knn/top5' is none .*: knn/top1"),
    ([dict(STOP, monitor='knn_top1')], {}, "EarlyStoppingHook='knn_top1'"),
    ([],
     dict(param_scheduler=[dict(type='ReduceOnPlateauLR', monitor='loss')]),
     "monitor of ReduceOnPlateauLR='loss' is none"),
    ([], dict(default_hooks=dict(checkpoint=dict(WHOLE, save_best='acc'))),
     "save_best='acc' is none of the results"),
])
def test_a_result_that_never_comes_is_refused(tmp_path, hooks, options,
                                              message):
    with pytest.raises(ValueError, match=message):
        run_with(tmp_path, *hooks, **options)
    assert not list(tmp_path.glob('*.pth'))


def test_without_a_knn_hook(tmp_path):
    """As where `default_hooks.knn=None` has taken it out."""
    check = dict(setup_check=dict(type='SetupCheckHook'))
    with pytest.raises(ValueError, match='which has no KNNHook'):
        make_runner(tmp_path, custom_hooks=[STOP], default_hooks=check).train()
    hooks = dict(check, checkpoint=dict(WHOLE, save_best='knn/top1'))
    make_runner(tmp_path, epochs=1, default_hooks=hooks).train()
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_1.pth']


def test_a_validation_has_results_of_its_own(tmp_path, measured):
    measured(30., 50., 40.)
    hooks = dict(checkpoint=dict(WHOLE, save_best='acc', rule='less'))
    validation = dict(
        val_dataloader=dict(
            dataset=TEST,
            batch_size=5,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False)),
        val_cfg=dict(type='ToyValidation'),
        val_evaluator=dict(type='Accuracy'))
    runner = run_with(
        tmp_path, STOP, epochs=2, default_hooks=hooks, **validation)
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == [
        'best_acc_epoch_1.pth', 'epoch_2.pth'
    ]
    assert runner.epoch == 2
