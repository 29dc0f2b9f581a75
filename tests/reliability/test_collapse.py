"""Collapse is logged and warned of; a sound run is not disturbed."""
import json

import pytest

from caco_ext.engine.hooks import TrainingMetricsHook
from tests.helpers.tiny_runs import METHODS, train


def log(folder):
    return ''.join(p.read_text() for p in folder.glob('*/*.log'))


def scalars(folder):
    path, = folder.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize('method', METHODS)
def test_made_to_collapse(method, data, tmp_path):
    """A weight decay that leaves the biases alone."""
    wrapper = dict(
        type='OptimWrapper',
        optimizer=dict(type='SGD', lr=1e-4, momentum=0., weight_decay=9e3),
        paramwise_cfg=dict(bias_decay_mult=0., norm_decay_mult=0.))
    train(
        data,
        tmp_path,
        method,
        optim_wrapper=wrapper,
        model__neck__with_last_bias=True,
        param_scheduler=[],
        default_hooks__metrics__patience=2,
        log_level='WARNING')
    last = scalars(tmp_path)[-1]
    assert last['feature_std'] < 0.05 and last['effective_rank'] < 2
    text = log(tmp_path)
    assert text.count('collapse: feature_std is') == 1
    assert text.count('collapse: effective_rank is') == 1


@pytest.mark.parametrize('method', METHODS)
def test_sound_run_is_not_warned_of(method, data, tmp_path):
    train(data, tmp_path, method, log_level='WARNING')
    for line in scalars(tmp_path):
        assert line['feature_std'] > 0.05
        assert 1 < line['effective_rank'] <= 8
    assert 'collapse' not in log(tmp_path)


def test_few_columns(data, tmp_path):
    """All columns but one turn away from all keys."""
    from mmengine.hooks import Hook

    class Attract(Hook):

        def before_train_iter(self, runner, *args, **kwargs):
            model = runner.model
            view = model.data_preprocessor(kwargs['data_batch'], True)[0][0]
            key = model.encode(view, model.key_encoder).mean(0).detach()
            model.memory.columns.copy_(-key[:, None].expand(-1, 40))
            model.memory.columns[:, 7] = key

    train(
        data,
        tmp_path,
        'CaCo', [dict(type=Attract)],
        default_hooks__metrics__min_columns_share=0.2,
        log_level='WARNING')
    assert 'collapse: 0.025 of the columns were positives' in log(tmp_path)


@pytest.mark.parametrize('options, message', [
    (dict(interval=0), 'interval=0 of TrainingMetricsHook'),
    (dict(patience=0), 'patience=0 of TrainingMetricsHook'),
    (dict(min_std=1.), 'min_std=1.0 of TrainingMetricsHook'),
    (dict(min_rank_share=-1), 'min_rank_share=-1 of TrainingMetricsHook'),
])
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        TrainingMetricsHook(**options)
