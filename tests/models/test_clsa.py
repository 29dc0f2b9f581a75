# Copyright (c) caco_ext authors. All rights reserved.
"""CLSA's losses and the queue."""
import pytest
import torch
from mmengine.registry import MODELS
from torch.nn import functional as F

import caco_ext  # noqa: F401
from caco_ext.models import CLSA
from tests.helpers.small_models import build, pictures
from .test_bank_methods import features


def make_queue(columns=40):
    torch.manual_seed(3)
    return MODELS.build(dict(type='FeatureQueue', num_columns=columns, dim=16))


def losses(weak_views, key_views, strong, temperature=0.2, matching=0.1):
    head = MODELS.build(
        dict(
            type='CLSAHead',
            temperature=temperature,
            alpha=0.5,
            matching=dict(
                type='DistributionMatchingHead', temperature=matching)))
    weak = [w.requires_grad_() for w in features(len(weak_views), 1)]
    strong = [s.requires_grad_() for s in features(strong, 2)]
    keys = features(len(key_views), 3)
    queue = make_queue()
    pairs = CLSA.make_pairs(weak_views, key_views)
    out = head(weak, keys, pairs, queue, strong)

    def plain(q, key, t):
        return torch.cat([q @ keys[key].t(), q @ queue.columns], 1) / t

    contrast = sum(
        F.cross_entropy(plain(weak[i], j, temperature), torch.arange(6))
        for i, j, _ in pairs)
    divergence = sum(-(plain(weak[i], j, matching).softmax(1).detach() *
                       plain(s, j, matching).log_softmax(1)).sum(1).mean()
                     for i, j, _ in pairs for s in strong)
    return out, contrast, divergence, weak, strong, pairs, queue, keys


# Weak views, key views, strong views, terms of the two losses.
MODES = [
    ((1, ), (0, ), 1, 1, 1),
    ((1, 2, 3, 4, 5), (0, ), 5, 5, 25),
    ((1, 0), (0, 1), 1, 2, 2),
    ((1, 2, 3, 4, 5, 0), (0, 1), 5, 10, 50),
]


@pytest.mark.parametrize('weak, key, strong, contrasts, matchings', MODES)
def test_losses_and_gradients(weak, key, strong, contrasts, matchings):
    out, contrast, divergence, q, s, pairs, *_ = losses(weak, key, strong)
    assert len(pairs) == contrasts and len(pairs) * strong == matchings
    torch.testing.assert_close(out['loss_contrast'], contrast)
    torch.testing.assert_close(out['loss_matching'], 0.5 * divergence)
    # Weak queries learn from the contrast alone, strong ones from the
    # matching alone.
    wanted = torch.autograd.grad(contrast, q) + torch.autograd.grad(
        0.5 * divergence, s)
    got = torch.autograd.grad(out['loss_contrast'] + out['loss_matching'],
                              q + s)
    torch.testing.assert_close(got, wanted)


def match(weak, strong, **options):
    """The matching of logits: over keys that are an axis each, no queue."""
    head = MODELS.build(dict(type='DistributionMatchingHead', **options))
    none = [(weak.new_full((len(weak), ), float('-inf')), 0 * weak)]
    return head([weak], [strong], torch.eye(weak.size(1)), none, none)


def test_matching_is_least_where_the_distributions_are_equal():
    weak = torch.randn(4, 9)
    same = weak.clone().requires_grad_()
    grad, = torch.autograd.grad(match(weak, same), same)
    torch.testing.assert_close(grad, torch.zeros_like(grad))
    other = torch.randn(4, 9).requires_grad_()
    assert match(weak, other) > match(weak, same)
    assert torch.autograd.grad(match(weak, other), other)[0].norm() > 0.1


def test_matching_has_no_nan_at_a_low_temperature():
    strong = torch.tensor([[1., -1.]], requires_grad=True)
    loss = match(torch.tensor([[-1., 1.]]), strong, temperature=1e-3)
    loss.backward()
    torch.testing.assert_close(loss, torch.tensor(2000.))
    assert torch.isfinite(strong.grad).all()


@pytest.mark.parametrize('columns', [40, 13, 6])
def test_queue_wraps_exactly(columns):
    queue = make_queue(columns)
    wanted = queue.columns.clone()
    written = 0
    for seed in range(9):
        keys = features(1, seed)[0]
        queue.enqueue(keys)
        queue.step()
        for key in keys:
            wanted[:, written % columns] = key
            written += 1
        assert torch.equal(queue.columns, wanted)
        assert queue.pointer.item() == written % columns


def test_queue_refuses_a_batch_longer_than_itself():
    with pytest.raises(ValueError, match='num_columns=5 of the queue'):
        make_queue(5).enqueue(features(1, 0)[0])


def test_symmetric_mode_enqueues_the_keys_of_the_key_view_once():
    *_, queue, keys = losses((1, 0), (0, 1), 1)
    queue.step()
    assert torch.equal(queue.columns[:, :6], keys[0].t())
    assert queue.pointer.item() == 6


def test_algorithm_counts_the_views_it_needs():
    model = build(
        'CLSA', query_views=(1, 2, 0), key_views=(0, 1), strong_views=(3, 4))
    assert model.num_views == 5
    out = model.loss(pictures(5))
    assert set(out) == {
        'loss_contrast', 'loss_matching', 'positive_probability'
    }
