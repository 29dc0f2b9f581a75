"""Mistakes of a config, each with what it is answered before the first
batch."""
import re

import pytest
from mmengine.runner import Runner

from tests.helpers.tiny_runs import config, train

DATA = 'train_dataloader__dataset__'
LOADER = 'train_dataloader__'
CROP = dict(type='ViewRandomResizedCrop', size=32)


def views(count, *transforms):
    return [
        dict(type='LoadImage'),
        dict(type='MultiCrop', num_views=count, transforms=list(transforms)),
        dict(type='mmselfsup.PackSelfSupInputs', meta_keys=['img_path'])
    ]


# (method, what is changed, the answer)
WRONG = [
    # sizes
    ('CaCo', dict(model__memory__num_columns=7),
     'num_columns=7 is less than the global batch of 8'),
    ('CLSA', dict(model__memory__num_columns=7),
     'num_columns=7 is less than the global batch of 8'),
    ('AdCo', dict(model__memory__num_columns=1),
     'num_columns=1, dim=16: a bank needs at least two columns'),
    ('AdCo', dict(model__memory__dim=12),
     'memory.dim=12 does not fit the features of the neck, which have 16'),
    ('CLSA', dict(model__neck__out_channels=8),
     'memory.dim=16 does not fit .* which have 8 channels'),
    ('CaCo', dict(model__neck__in_channels=63),
     'cannot encode view 0, 32 x 32 pixels: .*64.*in_channels of the necks'),
    ('CARE', dict(model__attention__img_size=64),
     'cannot encode view 0, 32 x 32 pixels: .*img_size'),
    ('CARE', dict(model__attention__in_channels=31),
     'cannot encode view 0, 32 x 32 pixels'),
    ('CARE', dict(model__backbone__out_indices=[4]),
     'cannot encode view 0, .*not enough values.*backbone.out_indices'),
    ('CARE', dict(model__predictor__in_channels=17),
     'cannot encode view 0, 32 x 32 pixels'),
    ('CARE', dict(model__predictor__out_channels=8),
     'predictor.out_channels=8 differs from the 16 of neck'),
    ('CARE', dict(model__attention_neck__out_channels=24),
     'attention_neck.out_channels=24 differs from the 16 of neck'),
    (LOADER, dict(train_dataloader__batch_size=30),
     'batch_size=30 on 1 process.* larger than the data set of 26'),
    (LOADER, dict(train_dataloader__batch_size=1),
     'batch_size=1 .*a batch of one picture, which batch norms cannot'),
    (LOADER,
     dict(train_dataloader__batch_size=5, train_dataloader__drop_last=False),
     'batch_size=5 with drop_last=False makes a batch of one picture'),
    ('CaCo', dict(optim_wrapper__accumulative_counts=7),
     'accumulative_counts=7 is more than the 6 iterations of the run'),
    # views
    ('CaCo', {
        DATA + 'pipeline': views([3], [CROP])
    }, 'makes 3 views of a picture and the model uses 2'),
    ('CLSA', {
        DATA + 'pipeline': views([2], [CROP])
    }, 'makes 2 views of a picture and the model uses 3'),
    ('AdCo', {
        DATA + 'pipeline': views([2], [CROP], [CROP])
    }, r'num_views=\[2\] names 1 kinds of views, but transforms has 2'),
    ('AdCo', {
        DATA + 'pipeline': views([2], [dict(CROP, size=0)])
    }, 'size must be a positive integer, got 0'),
    ('AdCo', {
        DATA + 'pipeline': views([2], [dict(CROP, scale=(1., .2))])
    }, 'scale must be a range'),
    ('CaCo', dict(model__query_views=[1],
                  model__key_views=[1]), 'view 1 meets no query'),
    ('CaCo', dict(model__fill_views=[0, 5]),
     r'fill_views=\[0, 5\] must name a query and a key view, .* each below 2'),
    ('CaCo', dict(model__fill_views=[0, 0]),
     r'fill_views=\[0, 0\] must name a query and a key view, two different'),
    ('CaCo', dict(model__fill_temperature=0.),
     'fill_temperature=0.0 of the fill must be positive'),
    # numbers out of range
    ('AdCo', dict(model__head__temperature=0.),
     'temperature=0.0 of the head must be positive'),
    ('AdCo', dict(model__head__temperature=float('nan')),
     'temperature=nan of the head must be positive'),
    ('CaCo', dict(model__memory__temperature=-1.),
     'temperature=-1.0 of the bank must be positive'),
    ('CaCo', dict(model__memory__momentum=1.), 'momentum=1.0 of the bank'),
    ('CaCo', dict(model__memory__init='ones'), "init='ones' of the bank"),
    ('CLSA', dict(model__momentum=9.99),
     'model.momentum has the value 9.99, which must be between 0 and 1'),
    ('AdCo', dict(model__fill_momentum=-.5),
     'model.fill_momentum has the value -0.5'),
    ('AdCo', dict(model__memory__lr__start=-3.),
     'model.memory.lr has the value -3'),
    ('AdCo', dict(model__memory__weight_decay=-1e-4),
     'model.memory.weight_decay has the value -0.0001'),
    (DATA, {
        DATA + 'max_broken_share': 1.5
    }, 'max_broken_share must be above 0 and at most 1'),
    ('CARE', dict(default_hooks__metrics__interval=0),
     'interval=0 of TrainingMetricsHook'),
    ('CARE', dict(default_hooks__preemption__signals=['SIGTREM']),
     "there is no signal 'SIGTREM'"),
    ('CLSA', dict(model__head__alpha=-.1),
     'alpha=-0.1 of the head must not be negative; CLSA uses 1'),
    ('CARE', dict(model__head__consistency_weight=-1.),
     'consistency_weight=-1.0 of the head must not be negative'),
    ('AdCo', dict(model__memory__lr__start=float('inf')),
     'model.memory.lr has the value inf'),
    ('CLSA', dict(model__momentum=float('nan')),
     'model.momentum has the value nan'),
    ('CLSA', dict(optim_wrapper__optimizer__lr=0.),
     'optim_wrapper.optimizer.lr=0 trains nothing'),
    ('CLSA', dict(optim_wrapper__optimizer__lr=float('nan')),
     'optim_wrapper.optimizer.lr=nan must be a number of at least 0'),
    ('CaCo', dict(optim_wrapper__optimizer__lr=-1.),
     'lr=-1.0 of CaCoLARS is negative'),
    ('CaCo', dict(optim_wrapper__optimizer__momentum=1.),
     'optim_wrapper.optimizer.momentum=1 must be .* below 1'),
    ('CARE', dict(optim_wrapper__optimizer__momentum=1.5),
     'optim_wrapper.optimizer.momentum=1.5 must be .* below 1'),
    ('CARE', dict(optim_wrapper__optimizer__weight_decay=float('nan')),
     'optim_wrapper.optimizer.weight_decay=nan must be'),
    ('CLSA', dict(optim_wrapper__clip_grad=dict(max_norm=0)),
     'optim_wrapper.clip_grad.max_norm=0 leaves no gradient'),
    ('CLSA', dict(train_cfg__max_epochs=0, param_scheduler=[]),
     'a run of 0 epochs and 0 iterations, in which nothing is trained'),
    # loops
    ('CLSA',
     dict(
         train_cfg=dict(by_epoch=False, max_iters=9, _delete_=True),
         param_scheduler=[]),
     'IterBasedTrainLoop, which knows no epochs and cannot be resumed inside '
     r"one; use train_cfg=dict\(type='IterationTrainLoop', max_iters=9\)"),
    ('CLSA',
     dict(
         train_cfg=dict(type='IterationTrainLoop', max_iters=0,
                        _delete_=True)),
     'train_cfg.max_iters=0 of IterationTrainLoop must be a positive integer'),
    ('CLSA', dict(train_cfg=dict(type='IterationTrainLoop', max_iters=6)),
     'max_epochs beside the max_iters of IterationTrainLoop; .* _delete_=True'
     ),
    # schedules
    ('CLSA',
     dict(param_scheduler=[dict(type='CosineAnnealingLR', T_max=1, end=1)]),
     'CosineAnnealingLR of param_scheduler ends after 3 of the 6 iterations'),
    ('CLSA',
     dict(param_scheduler=[
         dict(type='MultiStepLR', milestones=[2], end=4, by_epoch=False)
     ]), 'MultiStepLR of param_scheduler ends after 4 of the 6 iterations'),
    ('CLSA',
     dict(param_scheduler=[
         dict(type='PolyLR', end=2, by_epoch=False),
         dict(type='CosineAnnealingLR', T_max=2, begin=4, by_epoch=False)
     ]), 'PolyLR of param_scheduler ends after 2 of the 6 iterations'),
    ('CLSA',
     dict(param_scheduler=[
         dict(type='CosineAnnealingMomentum', T_max=3, end=3, by_epoch=False)
     ]), 'CosineAnnealingMomentum of param_scheduler ends after 3 of the 6'),
    ('CLSA',
     dict(param_scheduler=[
         dict(type='CosineAnnealingLR', T_max=3, by_epoch=False)
     ]), 'takes 3 iterations to come down, and has 6, from 0 to 6'),
    ('CLSA',
     dict(param_scheduler=[
         dict(type='OneCycleLR', eta_max=.1, total_steps=3, by_epoch=False)
     ]), 'OneCycleLR of param_scheduler takes 3 iterations'),
    ('CARE',
     dict(
         param_scheduler=[dict(type='CosineAnnealingLR', T_max=200, end=200)]),
     'CosineAnnealingLR of param_scheduler ends after 200 epochs, and the '
     'run has 2; .*allow_cut_schedule=True'),
    ('CLSA',
     dict(param_scheduler=[
         dict(type='LinearLR', start_factor=.1, end=7, by_epoch=False)
     ]), 'LinearLR of param_scheduler ends after 7 iterations, .* has 6'),
    ('CaCo', dict(model__memory__lr__warmup=10),
     'model.memory.lr warms up for 10 epochs, and the run has 2'),
    # names
    ('CaCo', dict(optim_wraper=dict(accumulative_counts=2)),
     "'optim_wraper', which nothing reads; is 'optim_wrapper' meant"),
    ('CaCo', dict(model__head__temprature=.1),
     "unexpected keyword argument 'temprature'"),
    ('AdCo', dict(model__memory__num_colums=64),
     "unexpected keyword argument 'num_colums'"),
    (LOADER, dict(train_dataloader__batchsize=8),
     "unexpected keyword argument 'batchsize'"),
    (DATA, {
        DATA + 'data_rot': 'x'
    }, "unexpected keyword argument 'data_rot'"),
    ('CaCo', dict(model__type='CoCa'), 'CoCa is not in the'),
    # what is missing
    (DATA, {
        DATA + 'data_root': '/gone'
    }, "the picture folder '/gone' does not exist"),
    (DATA, {
        DATA + 'ann_file': 'gone.txt'
    }, "image list .*gone.txt' cannot be read"),
    ('CaCo', dict(load_from='/gone.pth'), "no checkpoint '/gone.pth'"),
    ('AdCo', dict(default_hooks__bank_fill=None),
     '0 of the 40 columns of the bank are filled: keep .*BankFillHook'),
    # several processes
    ('CARE', dict(sync_bn='torch'),
     "sync_bn='torch' needs several processes, and this run has one"),
    ('CLSA', dict(strategy=dict(type='FSDPStrategy')),
     "strategy='FSDPStrategy' is for the FlexibleRunner .*leave it out, which "
     "gives DDP; .*'ZeroRedundancyOptimizer'"),
    ('CLSA', dict(runner_type='FlexibleRunner'),
     "runner_type='FlexibleRunner' is for the FlexibleRunner"),
    ('CLSA',
     dict(
         optim_wrapper__optimizer=dict(
             type='ZeroRedundancyOptimizer', optimizer_type='SGD', lr=.1)),
     'ZeroRedundancyOptimizer shards .* this run has one; start several with'),
]

# (method, what is changed): warm-ups end early, a pause before the way down
# is no mistake.
RIGHT = [
    ('CLSA', dict(param_scheduler=[dict(type='LinearLR', end=1)])),
    ('CLSA', dict(param_scheduler=[dict(type='ConstantLR', end=1)])),
    ('CLSA',
     dict(param_scheduler=[
         dict(type='LinearLR', end=1),
         dict(type='CosineAnnealingLR', begin=4, T_max=2, by_epoch=False)
     ])),
    ('CLSA',
     dict(param_scheduler=[
         dict(type='CosineAnnealingLR', T_max=3, end=3, by_epoch=False),
         dict(type='PolyLR', begin=3, by_epoch=False)
     ])),
]


def test_there_are_forty():
    assert len(WRONG) >= 40
    assert len({message for _, _, message in WRONG}) >= 40


@pytest.mark.parametrize(
    'method, changes, message',
    WRONG,
    ids=[re.sub('[^a-z_]', '',
                str(row[1])[:30]) for row in WRONG])
def test_is_refused(method, changes, message, data, tmp_path):
    method = method if method[0].isupper() else 'CLSA'
    cfg = config(data, tmp_path, method, **changes)
    with pytest.raises(Exception, match=f'(?s){message}'):
        runner = Runner.from_cfg(cfg)
        runner.model.init_weights = lambda: None
        runner.train()
    assert not list(tmp_path.glob('record*'))
    assert not list(tmp_path.glob('*.pth'))


def build(cfg):
    """A runner as it is before its hooks' first call."""
    runner = Runner.from_cfg(cfg)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.param_schedulers = runner.build_param_scheduler(
        runner.param_schedulers)
    return runner


@pytest.mark.parametrize('method, changes', RIGHT)
def test_is_right(method, changes, data, tmp_path):
    build(config(data, tmp_path, method, **changes)).call_hook('before_run')


def test_odd_numbers_are_warned_of(data, tmp_path, monkeypatch):
    """They may be meant: a key encoder or a bank that stays as it is."""
    runner = build(
        config(
            data, tmp_path, 'CaCo', model__momentum=1., model__memory__lr=0.))
    said = []
    monkeypatch.setattr(runner.logger, 'warning', said.append)
    runner.call_hook('before_run')
    assert [text.partition(':')[0] for text in said
            ] == ['model.momentum is always 1', 'model.memory.lr is 0']


def test_a_trial_may_cut_the_schedule(data, tmp_path):
    train(
        data,
        tmp_path,
        'CaCo',
        model__memory__lr__warmup=10,
        default_hooks__setup_check__allow_cut_schedule=True)
    assert (tmp_path / 'epoch_2.pth').exists()


def test_the_trial_changes_nothing(data, reference, tmp_path):
    """Random numbers, weights, statistics: as without the check."""
    from tests.helpers.tiny_runs import differences, read
    train(data, tmp_path, 'CARE', default_hooks__setup_check=None)
    one, other = (
        read(folder / 'epoch_2.pth')
        for folder in (tmp_path, reference('CARE')))
    for key in ('state_dict', 'run_state', 'optimizer'):
        assert not differences(one[key], other[key])


def test_weights_alone_are_not_resumed(data, reference, tmp_path):
    import torch

    from tests.helpers.tiny_runs import read
    state = read(reference('CaCo') / 'epoch_2.pth')['state_dict']
    torch.save(dict(state_dict=state), tmp_path / 'weights.pth')
    path = str(tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match='message_hub, meta, optimizer: it '):
        train(data, tmp_path / 'run', 'CaCo', resume=True, load_from=path)
