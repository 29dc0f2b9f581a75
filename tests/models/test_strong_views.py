# Copyright (c) caco_ext authors. All rights reserved.
"""CLSA's matching on other algorithms."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from torch.nn import functional as F

import caco_ext  # noqa: F401
from tests.helpers.distributed import run_distributed
from tests.helpers.small_models import BACKBONE, pictures

CONFIGS = Path(__file__).parents[2] / 'configs/selfsup/clsa'
FILES = dict(
    BYOL='clsa-byol_resnet50_16xb256-single-coslr-200e_in1k.py',
    SimCLR='clsa-simclr_resnet50_8xb32-single-coslr-200e_in1k.py')


def build(name, **changes):
    init_default_scope('mmselfsup')
    cfg = Config.fromfile(CONFIGS / FILES[name]).model
    cfg.backbone = BACKBONE
    cfg.neck.update(in_channels=64, hid_channels=32)
    cfg.memory.num_columns = 40
    cfg.update(changes)
    torch.manual_seed(0)
    return revert_sync_batchnorm(MODELS.build(cfg)).train()


@pytest.mark.parametrize('base', FILES)
def test_adds_the_matching_to_the_hosts_loss(base):
    model, host = build(base), build(base)
    inputs = pictures(3)
    losses = model.loss(inputs, None)
    plain = type(host).__bases__[1].loss(host, inputs[:2], None)
    torch.testing.assert_close(losses['loss'], plain['loss'])
    # The matching by its formula, on a copy that has seen the same batch.
    host = build(base)

    def encode(x):
        return F.normalize(host.neck(host.backbone(x))[0], dim=1)

    with torch.no_grad():
        keys = encode(inputs[1])
        target = encode(inputs[0])
        strong = encode(inputs[2])
        candidates = torch.cat([keys.t(), host.memory.columns], 1)
        wanted = -((target @ candidates / 0.2).softmax(1) *
                   (strong @ candidates / 0.2).log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(
        losses['loss_matching'].detach(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('base', FILES)
def test_the_queue_moves_with_the_optimizer(base):
    model = build(base)
    names = set(model.state_dict())
    assert {'backbone.conv1.weight', 'memory.columns'} <= names
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.1)
    losses = model.loss(pictures(3), None)
    start = model.memory.columns.clone()
    (losses['loss'] + losses['loss_matching']).backward()
    assert torch.equal(model.memory.columns, start)
    optimizer.step()
    assert model.memory.pointer.item() == 8
    assert not torch.equal(model.memory.columns[:, :8], start[:, :8])
    assert torch.equal(model.memory.columns[:, 8:], start[:, 8:])


def test_refuses():
    with pytest.raises(KeyError, match="base='NoSuch' of StrongViews"):
        build('BYOL', base='NoSuch')
    with pytest.raises(ValueError, match='makes 2 views'):
        build('BYOL').loss(pictures(2), None)
    for changes, message in ((dict(strong_views=()), r'strong_views=\(\)'),
                             (dict(strong_views=(1, )), r'strong_views=\(1'),
                             (dict(key_encoder='target'),
                              "key_encoder='target'.* which has .*target_net"),
                             (dict(memory=dict(type='FeatureQueue', dim=7)),
                              'memory.dim=7 does not fit')):
        with pytest.raises(ValueError, match=message):
            build('BYOL', **changes)


def queue_of_rank():
    """Of a model whose queue is this rank's own, after a pass."""
    from mmengine.dist import get_rank
    model = build('SimCLR')
    with torch.no_grad():
        model.memory.columns.add_(get_rank())
        model.loss(pictures(3), None)
    return model.memory.columns


def test_ranks_begin_with_one_queue():
    queues = run_distributed(queue_of_rank, 2)
    assert torch.equal(*queues)


def test_keys_wait_while_gradients_accumulate_in_a_frozen_network():
    model = build('SimCLR')
    model.backbone.conv1.requires_grad_(False)
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.1)
    for seed in range(2):
        losses = model.loss(pictures(3, seed), None)
        (losses['loss'] + losses['loss_matching']).backward()
    optimizer.step()
    assert model.memory.pointer.item() == 16
