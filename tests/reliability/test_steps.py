"""Memory and key encoder move with the optimizer's steps; on request with the
passes, as in the originals."""
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from tests.helpers.small_models import build
from tests.helpers.tiny_runs import METHODS, differences, read, train
from .test_finite import poison


@HOOKS.register_module(name='ReliabilityWatch')
class Watch(Hook):
    """Which iterations moved memory and weights, and left an update due."""

    priority = 'HIGHEST'

    def __init__(self, seen):
        self.seen = seen

    def _values(self, model):
        values = [model.backbone.conv1.weight]
        if model.memory is not None:
            values.append(model.memory.columns)
        return [value.detach().clone() for value in values]

    def before_train_iter(self, runner, *args, **kwargs):
        self.values = self._values(runner.model)

    def after_train_iter(self, runner, *args, **kwargs):
        moved = [
            not torch.equal(one, other)
            for one, other in zip(self.values, self._values(runner.model))
        ]
        moved.append(runner.model.key_encoder.needs_update)
        self.seen.append(moved)


SEEN = {}


@HOOKS.register_module(name='ReliabilityWatchAs')
class WatchAs(Watch):

    def __init__(self, name):
        super().__init__(SEEN.setdefault(name, []))


@pytest.mark.parametrize('update_after', ['optimizer_step', 'backward'])
@pytest.mark.parametrize('method', METHODS)
def test_accumulation(method, update_after, data, tmp_path):
    name = f'{method} {update_after}'
    train(
        data,
        tmp_path,
        method, [dict(type='ReliabilityWatchAs', name=name)],
        model__update_after=update_after,
        optim_wrapper__accumulative_counts=3)
    memory = [] if method == 'CARE' else [True]
    quiet = [False] * (2 + len(memory))
    if update_after == 'backward':
        quiet = [False, *memory, True]
    loud = [True, *memory, True]
    assert SEEN[name] == [quiet, quiet, loud] * 2


@pytest.mark.parametrize('update_after', ['optimizer_step', 'backward'])
def test_skipped_by_the_scaler(update_after, data, tmp_path):
    name = f'scaler {update_after}'
    train(
        data,
        tmp_path,
        'AdCo', [
            poison('gradient', 2, value=float('inf')),
            dict(type='ReliabilityWatchAs', name=name)
        ],
        model__update_after=update_after,
        optim_wrapper__type='AmpOptimWrapper')
    skipped = [False, update_after == 'backward', update_after == 'backward']
    assert SEEN[name] == [[True] * 3, skipped, *[[True] * 3] * 4]


@pytest.mark.parametrize('method', METHODS)
def test_without_either_both_are_the_same(method, data, reference, tmp_path):
    train(data, tmp_path, method, model__update_after='backward')
    one, other = (
        read(folder / 'epoch_2.pth')['state_dict']
        for folder in (tmp_path, reference(method)))
    assert not differences(one, other)


def test_unknown_way():
    with pytest.raises(ValueError, match="update_after='always' is unknown"):
        build('CaCo', update_after='always')
