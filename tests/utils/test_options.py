"""Options of the command line that nothing reads are refused."""
import pytest
from mmengine.config import Config

import caco_ext  # noqa: F401  registers what the config names
from caco_ext.utils import check_options


@pytest.fixture
def cfg():
    """A config with a dict of every kind."""
    return Config(
        dict(
            default_scope='mmselfsup',
            my_own=dict(number=1),
            default_hooks=dict(knn=dict(type='KNNHook', k=20)),
            model=dict(type='mmselfsup.ResNet', depth=18),
            train_dataloader=dict(batch_size=4, dataset=dict(type='Gone')),
            train_cfg=dict(max_epochs=3),
            env_cfg=dict(cudnn_benchmark=False),
            randomness=dict(seed=0),
            optim_wrapper=dict(
                type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)),
            param_scheduler=[dict(type='LinearLR', end=3)]))


@pytest.mark.parametrize(
    'name',
    [
        # in the config
        'model.depth',
        'my_own.number',
        'param_scheduler.0.end',
        'optim_wrapper.optimizer.lr',
        # an argument of the class
        'model.frozen_stages',
        'optim_wrapper.accumulative_counts',
        'optim_wrapper.clip_grad.max_norm',
        'optim_wrapper.paramwise_cfg.norm_decay_mult',
        'optim_wrapper.optimizer.nesterov',
        # handed on to a base class
        'param_scheduler.0.last_step',
        'param_scheduler.0.convert_to_iter_based',
        'default_hooks.knn.temperature',
        # read by mmengine
        'default_hooks.timer',
        'work_dir',
        'auto_scale_lr.base_batch_size',
        'train_dataloader.num_workers',
        'train_cfg.val_interval',
        'env_cfg.mp_cfg.mp_start_method',
        'randomness.deterministic',
        # nobody can know
        'my_own.other',
        'train_dataloader.dataset.data_root',
    ])
def test_accepts(cfg, name):
    check_options(cfg, {name: 1})


@pytest.mark.parametrize('name, nearest', [
    ('optim_wraper.optimizer.lr', 'optim_wrapper.optimizer.lr'),
    ('modle', 'model'),
    ('model.dpeth', 'model.depth'),
    ('model.frozen_stage', 'model.frozen_stages'),
    ('optim_wrapper.optimizer.momentun', 'optim_wrapper.optimizer.momentum'),
    ('param_scheduler.0.ennd', 'param_scheduler.0.end'),
    ('train_dataloader.batchsize', 'train_dataloader.batch_size'),
    ('train_cfg.max_epoch', 'train_cfg.max_epochs'),
    ('env_cfg.cudnn_bench', 'env_cfg.cudnn_benchmark'),
    ('randomness.sed', 'randomness.seed'),
    ('default_hooks.knnn.k', 'default_hooks.knn.k'),
    ('default_hooks.kn', 'default_hooks.knn'),
])
def test_refuses_and_names_the_nearest(cfg, name, nearest):
    with pytest.raises(ValueError) as caught:
        check_options(cfg, {'model.depth': 50, name: 1})
    assert str(caught.value) == f'no such option: {name}; nearest: {nearest}'


def test_the_type_may_be_another_option(cfg):
    kind = {'train_cfg.type': 'IterationTrainLoop'}
    check_options(cfg, {**kind, 'train_cfg.max_iters': 5})
    kind = {'optim_wrapper.optimizer.type': 'AdamW'}
    check_options(cfg, {**kind, 'optim_wrapper.optimizer.betas': (.9, .9)})
    with pytest.raises(ValueError, match='no such option'):
        check_options(cfg, {**kind, 'optim_wrapper.optimizer.momentum': .9})


def test_a_new_hook_comes_with_its_type(cfg):
    check_options(
        cfg, {
            'default_hooks.other.interval': 1,
            'default_hooks.other.type': 'EmptyCacheHook'
        })


def test_refuses_what_lies_below_a_number_or_beyond_a_list(cfg):
    with pytest.raises(ValueError, match='model.depth is 18'):
        check_options(cfg, {'model.depth.stages': 1})
    with pytest.raises(ValueError, match='1 entries are numbered from 0'):
        check_options(cfg, {'param_scheduler.1.end': 1})


def test_says_nothing_of_nearness_where_there_is_none(cfg):
    with pytest.raises(ValueError, match=r'^no such option: qqqqqq$'):
        check_options(cfg, dict(qqqqqq=1))


@pytest.mark.parametrize('name', [
    'optim_wrapper.optimizer.lr', 'randomness.seed',
    'train_dataloader.batch_size', 'param_scheduler.0.end'
])
def test_refuses_a_text_in_place_of_a_number(cfg, name):
    node, keys = cfg, name.split('.')
    for key in keys[:-1]:
        node = node[int(key) if key.isdigit() else key]
    node[keys[-1]] = 3
    with pytest.raises(
            ValueError,
            match=f'^{name}=x3 is a text, and the '
            'config has 3 there$'):
        check_options(cfg, {name: 'x3'})
    check_options(cfg, {name: 4.})
    node[keys[-1]] = 'x2'
    check_options(cfg, {name: 'x3'})
