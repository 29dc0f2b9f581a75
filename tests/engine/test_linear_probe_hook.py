"""The linear probe at the end of a run."""
import json
import sys

import numpy as np
import pytest
import torch

from caco_ext.engine.hooks import LinearProbeHook
from caco_ext.evaluation import linear_probe_accuracy
from caco_ext.utils.extras import MissingExtraError
from tests.engine.test_knn_hook import (TEST, TRAIN, find_hook, make_hook,
                                        make_runner, read_scalars)
from tests.helpers.distributed import run_distributed

HOOK = dict(type='LinearProbeHook')
# The classes overlap.
NOISY = dict(
    train_dataset=dict(TRAIN, counts=(19, 20, 8), noise=400.),
    test_dataset=dict(TEST, counts=(12, 30, 4), noise=400., broken=(3, )))


def probed(folder, epochs=1, **options):
    """A run with a kNN hook and a linear probe."""
    return make_runner(
        folder, custom_hooks=[make_hook(**NOISY), HOOK], epochs=epochs,
        **options)  # yapf: disable


def read_json(folder):
    return json.loads((folder / LinearProbeHook.file_name).read_text())


def test_results_are_those_of_the_last_network(tmp_path):
    runner = probed(tmp_path)
    lines = []
    runner.logger.info = lambda text, *args, **kwargs: lines.append(text)
    runner.train()

    # By hand, from the checkpoint.
    other = make_runner(tmp_path / 'other', make_hook(**NOISY))
    other.load_checkpoint(str(tmp_path / 'epoch_1.pth'))
    knn = find_hook(other)
    features = knn.extract(other.model)
    train, test = knn.data.parts
    kept = np.delete(np.arange(46), 3)  # one cannot be read
    assert features.test_index.tolist() == kept.tolist()
    expected = linear_probe_accuracy(features.train.numpy(), train.labels,
                                     features.test.numpy(), test.labels[kept])
    assert 40 < expected.top1 < 100
    assert expected.mean_class != pytest.approx(expected.top1)
    metrics = {
        'linear/top1': pytest.approx(expected.top1),
        'linear/mean_class': pytest.approx(expected.mean_class)
    }
    assert read_json(tmp_path) == dict(
        epoch=1,
        iter=runner.iter,
        metrics=metrics,
        c=expected.c,
        c_at_edge=expected.at_edge,
        data=dict(
            train=dict(root='ToyPictures', pictures=47, classes=3),
            test=dict(root='ToyPictures', pictures=45, classes=3)))
    row, = (r for r in read_scalars(runner) if 'linear/top1' in r)
    assert row == dict(metrics, step=1)
    scalar = runner.message_hub.get_scalar('val/linear_top1')
    assert scalar.current() == pytest.approx(expected.top1)
    assert (f'Epoch(val) [1]  linear/top1: {expected.top1:.2f}  '
            f'linear/mean_class: {expected.mean_class:.2f}  '
            f'({expected.text})') in lines


@pytest.mark.slow
def test_a_finished_run_is_measured_when_it_is_resumed(tmp_path):
    make_runner(tmp_path, make_hook(**NOISY), epochs=1).train()
    assert not (tmp_path / LinearProbeHook.file_name).exists()
    runner = probed(tmp_path, resume=True)
    runner.train()
    found = read_json(tmp_path)
    assert found['epoch'] == 1 and found['iter'] == runner.iter > 0
    assert any('linear/top1' in row for row in read_scalars(runner))
    # It is the trained network.
    fresh = probed(tmp_path / 'fresh')
    fresh.train()
    assert read_json(tmp_path / 'fresh') == found


@pytest.mark.parametrize('hooks, message', [
    ([HOOK], r'\(--linear\) takes its labelled pictures from KNNHook, which'),
    ([make_hook(train_dataset=dict(TRAIN, counts=(20, 1, 1))), HOOK],
     'two classes with two pictures each.*train_dataset of KNNHook has fewer'),
])
def test_errors_come_before_the_training(tmp_path, hooks, message):
    runner = make_runner(tmp_path, custom_hooks=hooks)
    with pytest.raises(ValueError, match=message):
        runner.train()
    assert runner.iter == 0


def test_scikit_learn_is_missed_before_the_training(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'sklearn', None)
    runner = probed(tmp_path)
    with pytest.raises(MissingExtraError, match='scikit|sklearn'):
        runner.train()
    assert runner.iter == 0


def _train_on_two(folder):
    runner = probed(
        folder,
        launcher='pytorch',
        cfg=dict(
            model_wrapper_cfg=dict(
                type='MMDistributedDataParallel', device_ids=None)))
    runner.train()
    return sum('linear' in key for key in runner.message_hub.log_scalars)


@pytest.mark.slow
def test_two_processes(tmp_path):
    """The first one measures, with the features of both."""
    assert run_distributed(_train_on_two, 2, str(tmp_path)) == [2, 0]
    found = read_json(tmp_path)
    other = make_runner(tmp_path / 'alone', make_hook(**NOISY))
    other.load_checkpoint(str(tmp_path / 'epoch_1.pth'))
    knn = find_hook(other)
    features = knn.extract(other.model)
    assert isinstance(features.train, torch.Tensor)
    labels, truth = knn.labels_of(features)
    expected = linear_probe_accuracy(features.train.numpy(), labels,
                                     features.test.numpy(), truth)
    assert found['metrics']['linear/top1'] == pytest.approx(expected.top1)
    assert found['data']['train']['pictures'] == 47
