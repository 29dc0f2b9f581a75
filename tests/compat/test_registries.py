"""A misspelt type gets the nearest name."""
import pytest
from mmengine.config import Config
from mmengine.registry import (DATASETS, HOOKS, MODELS, PARAM_SCHEDULERS,
                               TRANSFORMS)
from mmengine.runner import Runner

import caco_ext  # noqa: F401  applies the remedies


@pytest.mark.parametrize('registry, name, line', [
    (MODELS, 'CaCoo', 'CaCoo is not in the mmselfsup::model registry; '
     'nearest: CaCo, CaCoHead'),
    (MODELS, 'mmselfsup.ResNett', 'mmselfsup.ResNett is not in the '
     'mmselfsup::model registry; nearest: ResNet, ResNeXt'),
    (HOOKS, 'KNNHok',
     'KNNHok is not in the mmselfsup::hook registry; nearest: KNNHook'),
    (TRANSFORMS, 'ViewGausianBlur',
     'ViewGausianBlur is not in the mmselfsup::transform '
     'registry; nearest: ViewGaussianBlur'),
    (PARAM_SCHEDULERS, 'LinearR', 'LinearR is not in the mmselfsup::parameter '
     'scheduler registry; nearest: LinearLR'),
    (DATASETS, 'Qqq', 'Qqq is not in the mmselfsup::dataset registry; is the '
     'module that has it in custom_imports?'),
])
def test_nearest_type(registry, name, line):
    with pytest.raises(KeyError) as caught:
        registry.build(dict(type=name, _scope_='mmselfsup'))
    assert str(caught.value.args[0]).startswith(line)


def test_other_errors_of_building_are_as_they_were():
    with pytest.raises(KeyError, match='must contain the key "type"'):
        MODELS.build(dict(depth=18))


@pytest.mark.parametrize('key, node, line', [
    ('optim_wrapper', dict(optimizer=dict(type='SGDD')),
     'SGDD is not in the mmselfsup::optimizer registry; nearest: SGD, ASGD'),
    ('train_dataloader', dict(collate_fn=dict(type='default_colate')),
     'default_colate is not in the mmselfsup::function registry; nearest: '
     'default_collate, pseudo_collate'),
    ('model', dict(backbone=[dict(norm_cfg=dict(type='BNN'))]),
     'BNN is not in the mmselfsup::model registry; nearest: BN'),
    ('log_processor', dict(type='LogProcesor'),
     'LogProcesor is not in the mmselfsup::log_processor registry; nearest: '
     'LogProcessor'),
])
def test_what_the_hosts_only_look_up(tmp_path, key, node, line):
    cfg = Config(
        dict(
            default_scope='mmselfsup',
            work_dir=str(tmp_path / 'run'),
            **{key: node}))
    with pytest.raises(ValueError) as caught:
        Runner.from_cfg(cfg)
    assert str(caught.value) == line
    assert not (tmp_path / 'run').exists()


def test_a_default_hook_without_type(tmp_path):
    runner = object.__new__(Runner)
    with pytest.raises(ValueError) as caught:
        runner.register_default_hooks(
            dict(knn=dict(type='KNNHook'), knnn=dict(k=3)))
    assert str(
        caught.value) == ('default_hooks.knnn has no type; is knn meant?')
