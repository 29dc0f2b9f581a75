# Copyright (c) caco_ext authors. All rights reserved.
"""AdCo's and CaCo's heads with their bank, against the stated losses."""
import pytest
import torch
from mmengine.registry import MODELS
from torch.nn import functional as F

import caco_ext  # noqa: F401
from caco_ext.models import AdCo, CaCo
from tests.helpers.small_models import build, pictures

VIEWS = dict(
    asymmetric=((0, ), (1, )),
    symmetric=((0, 1), (0, 1)),
    multicrop=((1, 2, 3, 4, 5), (0, )),
    both=((0, 1, 2, 3, 4, 5), (0, 1)))


def features(count, seed, size=6, dim=16):
    generator = torch.Generator().manual_seed(seed)
    return [
        F.normalize(torch.randn(size, dim, generator=generator), dim=1)
        for _ in range(count)
    ]


def make_bank(**options):
    torch.manual_seed(3)
    options = dict(
        type='LearnableBank',
        num_columns=40,
        dim=16,
        temperature=0.05,
        **options)
    return MODELS.build(options)


def make(method, mode, **options):
    """(head, pairs, queries, keys) of one mode."""
    views = VIEWS[mode]
    head = MODELS.build(
        dict(type=f'{method.__name__}Head', temperature=0.1, **options))
    queries = features(len(views[0]), 1)
    return (head, method.make_pairs(*views),
            [query.requires_grad_()
             for query in queries], features(len(views[1]), 2))


def adco_loss(queries, keys, pairs, columns, temperature, in_batch=True):
    unit = F.normalize(columns, dim=0)
    total = 0
    for query, key, weight in pairs:
        q, k = queries[query], keys[key]
        own = q @ k.t() if in_batch else (q * k).sum(1, keepdim=True)
        label = torch.arange(len(q)) if in_batch else torch.zeros(
            len(q), dtype=torch.long)
        logits = torch.cat([own, q @ unit], dim=1) / temperature
        total = total + weight * F.cross_entropy(logits, label)
    return total


@pytest.mark.parametrize('in_batch', [True, False])
@pytest.mark.parametrize('mode', VIEWS)
def test_adco(mode, in_batch):
    head, pairs, queries, keys = make(AdCo, mode, in_batch_negatives=in_batch)
    bank = make_bank(weight_decay=1e-2, lr=0.5, momentum=0.9)
    start = bank.columns.clone().requires_grad_()
    plain = adco_loss(queries, keys, pairs, start, 0.1, in_batch)
    wanted = torch.autograd.grad(plain, queries)
    loss = head(queries, keys, pairs, bank)['loss']
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(torch.autograd.grad(loss, queries), wanted)

    surrogate = adco_loss([q.detach() for q in queries], keys, pairs, start,
                          0.05, in_batch)
    grad, = torch.autograd.grad(surrogate, start)
    bank.step()
    velocity = -grad + 1e-2 * start.detach()
    torch.testing.assert_close(bank.velocity, velocity, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(bank.columns, start.detach() - 0.5 * velocity)


def test_adco_has_one_softmax_over_batch_and_bank():
    """N + K logits with the label n: property 5 of the specification."""
    head, pairs, queries, keys = make(AdCo, 'asymmetric')
    bank = make_bank()
    # A bank and other keys opposite to the queries leave the positive alone.
    bank.columns.copy_(-queries[0].detach().mean(0, keepdim=True).t())
    with torch.no_grad():
        log_prob = head.log_probabilities(queries, keys, pairs, bank)
    logits = torch.cat([
        queries[0] @ keys[0].t(),
        queries[0] @ F.normalize(bank.columns, dim=0)
    ], 1)
    assert logits.shape == (6, 46)
    wanted = (logits / 0.1).log_softmax(1).diagonal()
    torch.testing.assert_close(log_prob[0], wanted)


@pytest.mark.parametrize('mode', ['symmetric', 'both'])
def test_caco(mode):
    head, pairs, queries, keys = make(CaCo, mode)
    bank = make_bank(lr=0.5, momentum=0.9, weight_decay=1e-3)
    start = bank.columns.clone().requires_grad_()
    unit = F.normalize(start, dim=0)
    labels = [(key @ unit).argmax(1) for key in keys]
    small = [p for p in pairs if p.query > 1]
    plain, surrogate = 0, 0
    for query, key, _ in pairs:
        q = queries[query]
        if not small:
            weight = 1
        else:
            weight = 1 / (len(small) if query > 1 else 2)
        plain = plain + weight * F.cross_entropy(q @ unit / 0.1, labels[key])
        cosines = q.detach() @ unit
        coefficient = (cosines / 0.05).softmax(1).detach()
        rows = torch.arange(len(q))
        coefficient[rows, labels[key]] = 1 - coefficient[rows, labels[key]]
        surrogate = surrogate + weight * (coefficient * cosines /
                                          0.05).sum(1).mean()
    wanted = torch.autograd.grad(plain, queries, retain_graph=True)
    loss = head(queries, keys, pairs, bank)['loss']
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(torch.autograd.grad(loss, queries), wanted)

    grad, = torch.autograd.grad(surrogate, start)
    bank.step()
    velocity = -grad + 1e-3 * start.detach()
    torch.testing.assert_close(bank.velocity, velocity, atol=1e-6, rtol=1e-5)
    used = torch.bincount(
        torch.cat([labels[p.key] for p in pairs]), minlength=40)
    assert torch.equal(bank.positives.long(), used)


def test_caco_moves_positives_and_negatives_towards_the_query():
    head = MODELS.build(dict(type='CaCoHead', temperature=0.1))
    query, key = features(1, 5, size=1)[0], features(1, 6, size=1)[0]
    bank = make_bank(lr=0.1)
    before = query @ F.normalize(bank.columns, dim=0)
    pairs = CaCo.make_pairs((0, 1), (0, 1))
    # The same query in both views: one direction to move to.
    head([query.requires_grad_(), query], [key, key], pairs, bank)
    bank.step()
    after = query @ F.normalize(bank.columns, dim=0)
    assert (after >= before - 1e-7).all()
    positive = bank.positives.argmax()
    assert after[0, positive] - before[0, positive] > 1e-3


@pytest.mark.parametrize('method', [AdCo, CaCo])
def test_norms_do_not_fall_without_momentum_and_decay(method):
    head, pairs, queries, keys = make(method, 'symmetric')
    bank = make_bank(momentum=0., lr=3.)
    before = bank.columns.norm(dim=0)
    for _ in range(5):
        head(queries, keys, pairs, bank)
        bank.step()
        after = bank.columns.norm(dim=0)
        assert (after >= before - 1e-5).all()
        before = after


@pytest.mark.parametrize('method', [AdCo, CaCo])
def test_two_passes_before_a_step_count_half_each(method):
    """Gradient accumulation: the bank waits, and takes the mean."""
    head, pairs, queries, keys = make(method, 'symmetric')
    others = [-key for key in keys]
    velocities = []
    for passes in ([keys], [others], [keys, others]):
        bank = make_bank(lr=0.)
        for one in passes:
            head(queries, one, pairs, bank)
        assert bank.velocity.abs().max() == 0
        bank.step()
        velocities.append(bank.velocity)
    mean = (velocities[0] + velocities[1]) / 2
    torch.testing.assert_close(velocities[2], mean)
    assert not torch.allclose(velocities[0], velocities[1])


def test_without_gradients_nothing_is_staged():
    head, pairs, queries, keys = make(AdCo, 'symmetric')
    bank = make_bank()
    with torch.no_grad():
        head(queries, keys, pairs, bank)
    bank.step()
    assert bank.velocity.abs().max() == 0


def test_pairs_of_each_mode():
    count = {
        mode: len(AdCo.make_pairs(*views))
        for mode, views in VIEWS.items()
    }
    assert count == dict(asymmetric=1, symmetric=2, multicrop=5, both=10)
    assert {p.weight for p in AdCo.make_pairs(*VIEWS['multicrop'])} == {1.}
    assert {p.weight for p in AdCo.make_pairs(*VIEWS['both'])} == {.5}
    pairs = CaCo.make_pairs(range(8), (0, 1))
    assert [p[:2] for p in pairs[:4]] == [(0, 1), (1, 0), (2, 0), (2, 1)]
    assert [p.weight for p in pairs] == [1 / 2] * 2 + [1 / 12] * 12
    assert [p.weight for p in CaCo.make_pairs((0, 1), (0, 1))] == [1., 1.]


def test_fill_writes_keys_in_order_and_stops_at_the_end():
    bank = make_bank()
    keys = [key for _ in range(7) for key in features(1, _)]
    for key in keys:
        assert bank.needs_fill
        bank.write(key)
    assert not bank.needs_fill and int(bank.filled) == 40
    assert torch.equal(bank.columns, torch.cat(keys)[:40].t())
    assert bank.velocity.abs().max() == 0


@pytest.mark.parametrize('options, message', [
    (dict(temperature=0.), 'temperature=0.0 of the bank'),
    (dict(num_columns=1), 'num_columns=1'),
    (dict(momentum=1.), 'momentum=1.0 of the bank'),
    (dict(init='ones'), "init='ones' of the bank"),
])
def test_bank_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(type='LearnableBank', **options))


@pytest.mark.parametrize(
    'head', ['AdCoHead', 'CaCoHead', 'CLSAHead', 'DistributionMatchingHead'])
def test_heads_refuse_a_temperature_of_zero(head):
    with pytest.raises(ValueError, match='temperature=0.* must be positive'):
        MODELS.build(dict(type=head, temperature=0.))


def test_momentum_of_the_fill():
    """AdCo's option serves both; CaCo's fill has a number of its own, or a
    schedule."""
    assert build('AdCo', momentum=.9).fill_momentum() == .9
    assert build('CaCo', momentum=.9).fill_momentum() == .999
    model = build('CaCo', fill_momentum=dict(start=.5))
    model.forward_fill(pictures(2))
    assert model.fill_momentum() == .5
