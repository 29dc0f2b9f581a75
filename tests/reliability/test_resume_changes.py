"""A resumed run whose config or data changed: refused, applied, kept."""
import gc
import logging
import math
import os
import shutil

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import Runner
from torch.utils.data import Dataset

from caco_ext.datasets import ImageFolder
from caco_ext.engine import run_state
from caco_ext.engine.resume_changes import run_schedules
from caco_ext.utils import UsageError
from caco_ext.utils.run_config import Expression, differences, keep, parse
from tests.helpers.tiny_runs import (LENGTH, PICTURES, assert_same, config,
                                     read, record, stopped, train)

CHANGES = 'default_hooks__setup_check__resume_changes'
# Twice as long, with another learning rate, weight decay and momentum.
LONGER = dict(
    train_cfg__max_epochs=4,
    optim_wrapper__optimizer__lr=0.2,
    optim_wrapper__optimizer__momentum=0.8,
    optim_wrapper__optimizer__weight_decay=1e-3,
    param_scheduler=[
        dict(type='LinearLR', start_factor=0.1, end=2),
        dict(
            type='CosineAnnealingLR',
            T_max=4 * LENGTH,
            by_epoch=False,
            end=4 * LENGTH)
    ])


@pytest.fixture
def begun(reference, tmp_path):
    """A run of CLSA that has its first epoch behind it."""
    folder = tmp_path / 'run'
    shutil.copytree(reference('CLSA'), folder)
    (folder / 'epoch_2.pth').unlink()
    (folder / 'last_checkpoint').unlink()
    lines = (folder / 'record0.jsonl').read_text().splitlines(True)
    (folder / 'record0.jsonl').write_text(''.join(lines[:LENGTH]))
    return folder


@pytest.fixture(scope='module')
def longer(data, tmp_path_factory):
    """The record of an uninterrupted run with :data:`LONGER`."""
    folder = tmp_path_factory.mktemp('longer')
    train(data, folder, 'CLSA', **LONGER)
    return record(folder)


def test_each_change_is_named_and_refused(data, begun):
    before = (begun / 'epoch_1.pth').read_bytes()
    with pytest.raises(UsageError) as caught:
        train(
            data,
            begun,
            'CLSA',
            resume=True,
            optim_wrapper__type='AmpOptimWrapper',
            optim_wrapper__accumulative_counts=2,
            train_dataloader__sampler__shuffle=False,
            model__head__alpha=2.,
            model__momentum=0.9,
            param_scheduler=LONGER['param_scheduler'],
            train_cfg__max_epochs=4)
    text = str(caught.value)
    assert '\n' not in text
    for change in (
            "optim_wrapper.type: 'OptimWrapper' in the checkpoint, "
            "'AmpOptimWrapper' now",
            'optim_wrapper.accumulative_counts: not set in the checkpoint, 2 '
            'now', 'train_dataloader.sampler.shuffle: True in the checkpoint',
            'model.head.alpha: not set in the checkpoint, 2.0 now',
            'model.momentum: not set in the checkpoint, 0.9 now',
            'param_scheduler.1.T_max: 6 in the checkpoint, 12 now',
            'param_scheduler.1.end: 6 in the checkpoint, 12 now',
            'train_cfg.max_epochs: 2 in the checkpoint, 4 now',
            '--resume-changes apply'):
        assert change in text
    assert text.count(' in the checkpoint,') == 8
    assert (begun / 'epoch_1.pth').read_bytes() == before
    assert not (begun / 'epoch_2.pth').exists()


def test_applied_settings_hold(data, begun, longer):
    """Those of each step from there on are an uninterrupted run's."""
    train(data, begun, 'CLSA', resume=True, **{CHANGES: 'apply'}, **LONGER)
    found = record(begun)
    assert len(found) == len(longer) == 12
    for i in range(LENGTH, 12):
        assert found[i]['settings'] == longer[i]['settings']
        lr, momentum, decay = (
            float.fromhex(x) for x in found[i]['settings'][0])
        assert (momentum, decay) == (0.8, 1e-3)
        # the warm-up is over with the first epoch
        assert lr == pytest.approx(0.1 * (1 + math.cos(math.pi * i / 12)))
    assert found[LENGTH - 1]['settings'] != longer[LENGTH - 1]['settings']
    # the next start needs no switch
    meta = read(begun / 'epoch_4.pth')['meta']
    now = config(data, begun, 'CLSA', **LONGER).pretty_text
    assert not differences(parse(meta['cfg']), parse(now))


def test_applied_inside_an_epoch(data, longer, tmp_path):
    told = dict(type='ReliabilitySignal', moment='iter', number=4)
    assert stopped(data, tmp_path, 'CLSA', [told]) == 143
    # the stopped run goes on unasked, and is compared all the same
    with pytest.raises(UsageError, match='weight_decay: 0.0001 in the check'):
        train(data, tmp_path, 'CLSA', **LONGER)
    with pytest.raises(UsageError, match='sampler.shuffle cannot change'):
        train(
            data,
            tmp_path,
            'CLSA',
            train_dataloader__sampler__shuffle=False,
            **{CHANGES: 'apply'},
            **LONGER)
    train(data, tmp_path, 'CLSA', **{CHANGES: 'apply'}, **LONGER)
    found = record(tmp_path)
    assert [found[i]['settings'] for i in range(4, 12)
            ] == [longer[i]['settings'] for i in range(4, 12)]


@pytest.mark.parametrize('option, value', [
    ('optim_wrapper__optimizer__type', 'CaCoLARS'),
    ('randomness__seed', 5),
])
def test_what_cannot_be_applied_is_refused(option, value, data, begun):
    name = option.replace('__', '.')
    with pytest.raises(UsageError, match=f'{name} cannot change where the'):
        train(
            data,
            begun,
            'CLSA',
            resume=True,
            **{
                option: value,
                CHANGES: 'apply'
            })


def test_a_loss_scaler_may_be_switched_on(data, tmp_path):
    """bfloat16 stores no state of a scaler that another type could load."""
    amp = dict(optim_wrapper__type='AmpOptimWrapper')
    runner = train(
        data, tmp_path, 'CLSA', optim_wrapper__dtype='bfloat16', **amp)
    assert not runner.optim_wrapper.loss_scaler.is_enabled()
    (tmp_path / 'epoch_2.pth').unlink()
    (tmp_path / 'last_checkpoint').unlink()
    runner = train(
        data, tmp_path, 'CLSA', resume=True, **{CHANGES: 'apply'}, **amp)
    scaler = runner.optim_wrapper.loss_scaler
    assert scaler.is_enabled() and scaler.state_dict()['_growth_tracker'] == 3
    assert (tmp_path / 'epoch_2.pth').exists()


def test_kept_settings_hold(data, begun, reference):
    """The run ends as the one that was left alone, bit by bit."""
    runner = train(
        data,
        begun,
        'CLSA',
        resume=True,
        optim_wrapper__type='AmpOptimWrapper',
        optim_wrapper__accumulative_counts=2,
        train_dataloader__sampler__shuffle=False,
        train_dataloader__dataset__pipeline__1__num_views=[2],
        model__memory__num_columns=64,
        model__head__alpha=2.,
        randomness__seed=5,
        default_hooks__bank_fill__full_lr=False,
        # of no matter for the numbers
        train_dataloader__num_workers=1,
        default_hooks__logger__interval=2,
        **{CHANGES: 'keep'},
        **LONGER)
    assert_same(begun, reference('CLSA'))
    assert runner.train_dataloader.num_workers == 1
    assert runner.cfg.default_hooks.logger.interval == 2
    assert runner.cfg.model.memory.num_columns == 40


def test_what_changes_no_number_is_free(data, begun, reference, tmp_path):
    """Also the pictures may move."""
    moved = tmp_path / 'moved'
    shutil.copytree(data, moved)
    train(
        str(moved),
        begun,
        'CLSA', [dict(type='EmptyCacheHook')],
        resume=True,
        train_dataloader__num_workers=1,
        train_dataloader__persistent_workers=True,
        default_hooks__checkpoint__max_keep_ckpts=2,
        default_hooks__record=dict(type='RunRecordHook'),
        auto_scale_lr=dict(base_batch_size=64, enable=False),
        randomness__seed=None)
    assert_same(begun, reference('CLSA'))


def test_nothing_left_is_said_and_more_than_all_refused(
        data, begun, reference, monkeypatch):
    said = []
    monkeypatch.setattr(logging.Logger, 'warning',
                        lambda self, text, *args: said.append(text))
    one = dict(train_cfg__max_epochs=1, param_scheduler=[])
    train(data, begun, 'CLSA', resume=True, **{CHANGES: 'apply'}, **one)
    assert len([text for text in said
                if 'the run is finished: 1 epo' in text]) == 1
    with pytest.raises(
            ValueError,
            match='has done 2 epochs and 6 iterations,'
            ' and train_cfg makes a run of 1 and 3'):
        train(
            data,
            begun,
            'CLSA',
            resume=True,
            load_from=str(reference('CLSA') / 'epoch_2.pth'),
            **{CHANGES: 'apply'},
            **one)


def test_unknown_hooks_count(data, begun):
    with pytest.raises(UsageError, match='custom_hooks.0: not set in the '):
        train(data, begun, 'CLSA', [dict(type='SyncBuffersHook')], resume=True)


def test_checkpoints_without_a_config_are_resumed(data, begun, reference,
                                                  monkeypatch):
    checkpoint = read(begun / 'epoch_1.pth')
    del checkpoint['meta']['cfg']
    for name in ('data', 'sampler_seed'):  # as before these were kept
        del checkpoint['run_state'][name]
    torch.save(checkpoint, begun / 'epoch_1.pth')
    said = []
    monkeypatch.setattr(logging.Logger, 'warning',
                        lambda self, text, *args: said.append(text))
    train(data, begun, 'CLSA', resume=True)
    assert len([text for text in said if 'holds no config' in text]) == 1
    assert_same(begun, reference('CLSA'))


# -- the seed ----------------------------------------------------------------


@pytest.mark.slow
def test_a_seed_left_to_chance_is_resumed(data, tmp_path):
    chance = dict(randomness__seed=None)
    told = dict(type='ReliabilitySignal', moment='iter', number=4)
    folder = tmp_path / 'chance'
    assert stopped(data, folder, 'CLSA', [told], **chance) == 143
    checkpoint = read(folder / 'stopped.pth')
    seed = checkpoint['meta']['seed']
    assert checkpoint['run_state']['sampler_seed'] == seed
    runner = train(data, folder, 'CLSA', **chance)
    assert runner.seed == runner.train_dataloader.sampler.seed == seed
    assert runner.train_dataloader.worker_init_fn.args[1].keywords[
        'seed'] == seed
    train(data, tmp_path / 'whole', 'CLSA', randomness__seed=seed)
    assert_same(folder, tmp_path / 'whole')


# -- the pictures ------------------------------------------------------------


@pytest.fixture
def other(data, tmp_path):
    """The same pictures, where they can be changed."""
    folder = tmp_path / 'other'
    shutil.copytree(data, folder)
    return folder


def test_other_pictures_inside_an_epoch_are_refused(data, other, tmp_path):
    told = dict(type='ReliabilitySignal', moment='iter', number=4)
    folder = tmp_path / 'run'
    assert stopped(data, folder, 'CLSA', [told]) == 143
    os.rename(other / '03.png', other / '99.png')
    for mode in (None, 'apply', 'keep'):
        with pytest.raises(
                UsageError,
                match='middle of an epoch, .*other names, labels or order.*: '
                '26 in the checkpoint, 26 now; bring the data set back'):
            train(str(other), folder, 'CLSA', **{CHANGES: mode})
    shutil.copy(other / '02.png', other / '03.png')
    with pytest.raises(UsageError, match='26 in the checkpoint, 27 now'):
        train(str(other), folder, 'CLSA')


def test_other_pictures_at_the_end_of_an_epoch(data, other, begun):
    """Taken on request; schedules follow the epochs."""
    for i in range(26, 32):  # four batches
        shutil.copy(other / '02.png', other / f'{i}.png')
    schedule = [dict(type='CosineAnnealingLR', T_max=2, end=2)]
    schedule[0]['convert_to_iter_based'] = True
    with pytest.raises(UsageError, match='pictures: 26 in the checkpoint, 32'):
        train(str(other), begun, 'CLSA', resume=True)
    with pytest.raises(UsageError, match='this cannot be kept; bring it back'):
        train(str(other), begun, 'CLSA', resume=True, **{CHANGES: 'keep'})
    train(
        str(other),
        begun,
        'CLSA',
        resume=True,
        param_scheduler=schedule,
        **{CHANGES: 'apply'})
    found = record(begun)
    # the second epoch has iterations 4 to 7 of 8
    assert sorted(found) == [0, 1, 2, 4, 5, 6, 7]
    assert [float.fromhex(found[i]['settings'][0][0])
            for i in range(4, 8)] == pytest.approx(
                [.05 * (1 + math.cos(math.pi * i / 8)) for i in range(4, 8)])
    assert read(begun / 'epoch_2.pth')['meta']['iter'] == 8


def test_longer_epochs_of_the_same_pictures(data, begun):
    """The schedule goes on where a run with such epochs would be."""
    last = dict(
        train_dataloader__drop_last=False,
        train_dataloader__sampler__round_up=False,
        param_scheduler=[
            dict(type='CosineAnnealingLR', T_max=8, by_epoch=False, end=8)
        ])
    with pytest.raises(
            UsageError,
            match='drop_last: True in .*; batches in an epoch: 3 in the '
            'checkpoint, 4 now'):
        train(data, begun, 'CLSA', resume=True, **last)
    train(data, begun, 'CLSA', resume=True, **{CHANGES: 'apply'}, **last)
    found = record(begun)
    assert sorted(found) == [0, 1, 2, 4, 5, 6, 7]
    assert [float.fromhex(found[i]['settings'][0][0])
            for i in range(4, 8)] == pytest.approx(
                [.05 * (1 + math.cos(math.pi * i / 8)) for i in range(4, 8)])


class Listed(Dataset):

    def __init__(self, *infos):
        self.data_list = [
            dict(img_path=path, gt_label=label) for path, label in infos
        ]

    def __len__(self):
        return len(self.data_list)


class Wrapped(Dataset):

    def __init__(self, *datasets):
        self.datasets = datasets

    def __len__(self):
        return sum(map(len, self.datasets))


def test_the_list_of_pictures_is_described(data, monkeypatch):
    # mmengine's packing waits for what other tests have left
    monkeypatch.setattr(gc, 'collect', lambda: 0)
    one = Listed(('/a/x/1.png', 0), ('/a/y/2.png', 1))
    moved = Listed(('/b/c/x/1.png', 0), ('/b/c/y/2.png', 1))
    assert run_state.describe(one) == run_state.describe(moved)
    assert run_state.describe(one)['length'] == 2
    others = [
        Listed(('/a/y/2.png', 1), ('/a/x/1.png', 0)),
        Listed(('/a/x/1.png', 0), ('/a/y/2.png', 0)),
        Listed(('/a/x/1.png', 0), ('/a/y/3.png', 1)),
        Listed(('/a/x/1.png', 0), ('/a/y/2.png', 1), ('/a/y/3.png', 1)),
    ]
    digests = {run_state.describe(each)['digest'] for each in (one, *others)}
    assert len(digests) == 5
    parts = Wrapped(Listed(('/a/x/1.png', 0)), Listed(('/a/y/2.png', 1)))
    assert run_state.describe(parts) == run_state.describe(one)
    # mmengine's way to keep a list in one array
    plain, packed = (
        ImageFolder(data, pipeline=[], serialize_data=serialized)
        for serialized in (False, True))
    assert len(packed.data_bytes) and not len(packed.data_list)
    assert run_state.describe(packed) == run_state.describe(plain)
    assert run_state.describe(plain)['length'] == PICTURES


# -- configs -----------------------------------------------------------------


def test_a_text_is_read_and_not_executed(tmp_path):
    mark = tmp_path / 'executed'
    text = (f'a = __import__("os").mkdir("{mark}")\n'
            'b = dict(c=[1, (2., None)], d=-1e-4, e=float("nan"))\n'
            'f = dict({"g-h": inf}, **{"i": nan})\n')
    found = parse(text)
    assert not mark.exists()
    assert isinstance(found['a'], Expression)
    assert found['b'] == dict(c=[1, (2., None)], d=-1e-4, e="float('nan')")
    assert found['f']['g-h'] == math.inf and math.isnan(found['f']['i'])
    with pytest.raises(ValueError, match='no config'):
        parse('a = (')
    with pytest.raises(ValueError, match='is no plain value'):
        keep(dict(model=dict(size=Expression('f(1)'))), {})


def test_differences():
    one = parse('model = dict(a=(1, 2), b=nan, init_cfg=1)\n'
                'work_dir = "x"\nauto_scale_lr = dict(base_batch_size=4)\n')
    same = parse('model = dict(a=[1, 2], b=nan, init_cfg=2)\nlog_level="y"\n')
    assert not differences(one, same)
    other = parse('model = dict(a=[1], b=nan)\n'
                  'auto_scale_lr = dict(base_batch_size=4, enable=True)\n'
                  "default_hooks = dict(param_scheduler=None)\n")
    assert [str(change) for change in differences(one, other)] == [
        'model.a.1: 2 in the checkpoint, not set now',
        "auto_scale_lr: not set in the checkpoint, {'base_batch_size': 4, "
        "'enable': True} now",
        "default_hooks.param_scheduler: {'type': 'ParamSchedulerHook'} in the "
        'checkpoint, None now'
    ]
    kept = keep(one, other)
    assert not differences(one, kept)


@pytest.mark.parametrize('kinds', [
    [dict(type='MultiStepLR', milestones=[1, 3])],
    [dict(type='PolyLR', power=2., by_epoch=False, end=20)],
    [dict(type='OneCycleLR', eta_max=.3, by_epoch=False, end=20)],
    [
        dict(type='InclusiveLinearLR', end=1, convert_to_iter_based=True),
        dict(
            type='CosineAnnealingLR',
            begin=1,
            end=4,
            T_max=3,
            convert_to_iter_based=True),
        dict(type='StepLR', step_size=2),
        dict(type='LinearMomentum', end=4)
    ],
])
def test_any_schedule_is_followed(kinds):
    """4 epochs of 5; at each iteration what a run's own hooks come to."""

    def build():
        parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
        optimizer = torch.optim.SGD(
            [dict(params=parameters[:1]),
             dict(params=parameters[1:], lr=.5)], .1, .9)
        wrapper = OptimWrapper(optimizer)
        return wrapper, [
            PARAM_SCHEDULERS.build(
                dict(kind),
                default_args=dict(optimizer=wrapper, epoch_length=5))
            for kind in kinds
        ]

    wrapper, schedulers = build()
    wrapper._global_step = 0
    for i in range(20):
        other, others = build()
        run_schedules(other, others, i // 5, i, 5)
        assert [(g['lr'], g['momentum']) for g in other.param_groups
                ] == [(g['lr'], g['momentum']) for g in wrapper.param_groups]
        assert [s.last_step
                for s in others] == [s.last_step for s in schedulers]
        for scheduler in schedulers:
            if not scheduler.by_epoch:
                scheduler.step()
        for scheduler in schedulers:
            if scheduler.by_epoch and (i + 1) % 5 == 0:
                scheduler.step()


def test_the_mode_is_checked(data, tmp_path):
    with pytest.raises(ValueError, match="resume_changes='take' of SetupChe"):
        Runner.from_cfg(config(data, tmp_path, 'CLSA', **{CHANGES: 'take'}))
