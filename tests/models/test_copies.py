# Copyright (c) caco_ext authors. All rights reserved.
"""A model that was copied, pickled or sent elsewhere trains like the first."""
import copy
import io

import pytest
import torch
from mmengine.logging import MessageHub

from tests.helpers import ROOT
from tests.helpers.processes import run
from tests.helpers.small_models import CONFIGS, build, pictures, total
from tests.helpers.warm_python import warm_python
from .test_strong_views import build as build_strong

NAMES = (*CONFIGS, 'BYOL', 'SimCLR')


def make(name):
    """A model that has made a step, so that nothing of it is new."""
    model = build(name) if name in CONFIGS else build_strong(name)
    train(model, steps=1)
    return model


def train(model, steps=2, **zero):
    """What the state is after some steps, and what they had pending."""
    # BYOL's average follows the length of the run.
    MessageHub.get_current_instance().update_info('max_iters', 9)
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.1)
    pending = []
    for seed in range(steps):
        optimizer.zero_grad(**zero)
        total(model.loss(pictures(model.num_views, seed), None)).backward()
        if getattr(model, 'memory', None) is not None:
            pending.append(len(model.memory._pending))
        optimizer.step()
    return {
        name: value.clone()
        for name, value in model.state_dict().items()
    }, pending


def check_trained(model, wanted):
    """Refuse a model that does not train as wanted."""
    start = copy.deepcopy(model.state_dict())
    found, pending = train(model)
    assert found.keys() == wanted.keys()
    for name, value in found.items():
        assert torch.equal(value, wanted[name]), name
    moving = [
        name for name in found
        if name.startswith(('key_encoder.backbone',
                            'memory.columns')) and name.endswith(('weight',
                                                                  'columns'))
    ]
    assert moving or not hasattr(model, 'key_encoder')
    for name in moving:
        assert not torch.equal(found[name], start[name]), name
    assert set(pending) <= {1}


def pickled(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize('way', [copy.deepcopy, pickled])
@pytest.mark.parametrize('name', NAMES)
def test_copies_learn(name, way):
    model = make(name)
    again = way(model)
    assert type(again) is type(model)
    before = copy.deepcopy(model.state_dict())
    check_trained(again, train(way(model))[0])
    for key, value in model.state_dict().items():  # is left alone
        assert torch.equal(value, before[key]), key
    check_trained(again := way(model), train(model)[0])


@pytest.mark.slow
def test_another_process(tmp_path):
    models = [make(name) for name in NAMES]
    torch.save(models, tmp_path / 'models.pth')
    torch.save([train(model)[0] for model in models], tmp_path / 'wanted.pth')
    code = ('import sys, torch, caco_ext\n'
            'from tests.models.test_copies import check_trained\n'
            'torch.set_num_threads(int(sys.argv[2]))\n'
            'folder = sys.argv[1]\n'
            'models = torch.load(f"{folder}/models.pth", weights_only=False)\n'
            'wanted = torch.load(f"{folder}/wanted.pth")\n'
            'for model, one in zip(models, wanted, strict=True):\n'
            '    check_trained(model, one)\n')
    run(warm_python(), '-c', code, tmp_path, torch.get_num_threads(), cwd=ROOT)


def test_gradients_that_are_kept_as_zeros():
    """Nothing piles up, and what a scaler left out does not come in."""
    kept, pending = train(build('CaCo'), set_to_none=False)
    dropped, _ = train(build('CaCo'))
    assert pending == [1, 1]
    for name, value in kept.items():
        assert torch.equal(value, dropped[name]), name
    model = build('CaCo')
    total(model.loss(pictures(2))).backward()
    sum(p.sum() for p in model.backbone.parameters()).backward()
    for param in model.parameters():
        if param.grad is not None:
            param.grad.zero_()
    model.loss(pictures(2, 1))
    assert len(model.memory._pending) == 1
