# Copyright (c) caco_ext authors. All rights reserved.
"""Order of the steps of one iteration, in all four methods."""
import copy
import gc
import weakref

import pytest
import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper

from tests.helpers.small_models import CONFIGS, NECK, build, pictures, total

METHODS = list(CONFIGS)


def sgd(model, lr=0.1):
    params = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.SGD(params, lr=lr, momentum=0.9)


def state(model):
    return copy.deepcopy(model.state_dict())


@pytest.mark.parametrize('method', METHODS)
def test_iteration(method):
    """EMA and memory move once a step: after it, and before the next keys."""
    model = build(method, momentum=0.9)
    optimizer = sgd(model)
    inputs = pictures(model.num_views)
    start = state(model)
    total(model.loss(inputs)).backward()
    keys = [
        'key_encoder.' + name
        for name, _ in model.key_encoder.named_parameters()
    ]
    memory = [k for k in start if k.startswith('memory')]
    for name in keys + memory:
        assert torch.equal(model.state_dict()[name], start[name]), name
    # Batch statistics of the key encoder are its own.
    name = 'key_encoder.backbone.bn1.running_mean'
    assert not torch.equal(model.state_dict()[name], start[name])

    optimizer.step()
    moved = state(model)
    query = {k[12:]: moved[k[12:]] for k in keys}
    for name in keys:
        assert torch.equal(moved[name], start[name])
    if memory:
        assert not torch.equal(moved['memory.columns'],
                               start['memory.columns'])
    model.loss(inputs)
    after = model.state_dict()
    for name, value in query.items():
        wanted = .9 * start[f'key_encoder.{name}'] + .1 * value
        torch.testing.assert_close(after[f'key_encoder.{name}'], wanted)
    # Once: a second forward pass without a step moves nothing.
    again = state(model)
    model.loss(inputs)
    for name in keys:
        assert torch.equal(model.state_dict()[name], again[name]), name


@pytest.mark.parametrize('method', METHODS)
def test_gradients_reach_every_query_parameter_and_no_other(method):
    model = build(method)
    total(model.loss(pictures(model.num_views))).backward()
    for name, param in model.named_parameters():
        trained = not name.startswith('key_encoder')
        assert (param.grad is not None) == trained, name
        assert param.requires_grad == trained, name


@pytest.mark.parametrize('method', ['AdCo', 'CLSA'])
def test_accumulation_moves_memory_and_average_once(method):
    model = build(method, momentum=0.9)
    wrapper = OptimWrapper(sgd(model), accumulative_counts=2)
    inputs = pictures(model.num_views)
    start = model.memory.columns.clone()
    for step in range(2):
        wrapper.update_params(total(model.loss(inputs)))
        assert torch.equal(start, model.memory.columns) == (step == 0)
        assert model.key_encoder.needs_update == (step == 1)


class _Overflow(torch.autograd.Function):
    """Passes a loss on and makes its gradient infinite."""

    @staticmethod
    def forward(ctx, loss):
        return loss.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * float('inf')


def test_a_step_that_the_scaler_skips_moves_nothing():
    model = build('CaCo')
    wrapper = AmpOptimWrapper(
        optimizer=sgd(model), dtype='bfloat16', loss_scale=2.**16)
    inputs = pictures(model.num_views)
    start = model.memory.columns.clone()
    with wrapper.optim_context(model):
        losses = model.loss(inputs)
    wrapper.update_params(_Overflow.apply(losses['loss']))
    assert torch.equal(start, model.memory.columns)
    assert not model.key_encoder.needs_update
    # What the skipped step has left does not come in with the next one.
    other = copy.deepcopy(model)
    other.memory.clear_pending()
    with wrapper.optim_context(model):
        losses = model.loss(inputs)
    assert len(model.memory._pending) == 1
    wrapper.update_params(losses['loss'])
    assert not torch.equal(start, model.memory.columns)
    assert model.key_encoder.needs_update
    with torch.autocast('cpu', dtype=torch.bfloat16):
        other.loss(inputs)
    other.memory.step()
    assert torch.equal(other.memory.columns, model.memory.columns)


@pytest.mark.parametrize('method', METHODS)
def test_heads_and_memory_compute_in_float32_under_amp(method):
    model = build(method)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model.loss(pictures(model.num_views))
    assert all(value.dtype == torch.float32 for value in losses.values())
    plain = total(build(method).loss(pictures(model.num_views)))
    torch.testing.assert_close(total(losses), plain, rtol=0.05, atol=0.05)


def test_another_models_step_does_not_count():
    model, other = build('CLSA'), build('CLSA', seed=1)
    inputs = pictures(model.num_views)
    total(model.loss(inputs)).backward()
    total(other.loss(inputs)).backward()
    sgd(other).step()
    assert other.key_encoder.needs_update
    assert not model.key_encoder.needs_update


def test_a_dropped_model_is_forgotten():
    model = build('CaCo')
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None
    param = torch.nn.Parameter(torch.ones(1))
    param.grad = torch.ones(1)
    torch.optim.SGD([param], lr=1.).step()
    assert param == 0


@pytest.mark.parametrize('method', METHODS)
def test_state_dict_holds_the_whole_truth(method):
    """A copy loaded from it goes on with the same numbers."""
    model = build(method)
    inputs = pictures(model.num_views)

    def step(model, optimizer):
        optimizer.zero_grad()
        loss = total(model.loss(inputs))
        loss.backward()
        optimizer.step()
        return loss.detach()

    optimizer = sgd(model)
    step(model, optimizer)
    other = build(method, seed=1)
    other.load_state_dict(state(model))
    resumed = sgd(other)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert other.key_encoder.needs_update
    for _ in range(2):
        assert torch.equal(step(model, optimizer), step(other, resumed))
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_init_weights_makes_the_encoders_equal():
    model = build('CARE')
    model.init_weights()
    for name, param in model.key_encoder.named_parameters():
        assert torch.equal(param, model.get_parameter(name)), name


def test_fill():
    model = build('CaCo', memory=dict(CONFIGS['CaCo']['memory'], init='fill'))
    inputs = pictures(2)
    with pytest.raises(RuntimeError, match='0 of the 40 columns'):
        model.loss(inputs)
    optimizer = sgd(model)
    keys = []
    write = model.memory.write
    model.memory.write = lambda k: (keys.append(k.clone()), write(k))
    while model.memory.needs_fill:
        optimizer.zero_grad()
        total(model(inputs, mode='fill')).backward()
        optimizer.step()
    assert len(keys) == 5
    assert torch.equal(model.memory.columns, torch.cat(keys).t())
    torch.testing.assert_close(
        model.memory.columns.norm(dim=0), torch.ones(40))
    assert model.memory.velocity.abs().max() == 0
    name = 'backbone.conv1.weight'
    key = model.key_encoder.get_parameter(name)
    assert not torch.equal(key, model.get_parameter(name))
    model.end_fill()
    assert torch.equal(key, model.get_parameter(name))
    assert torch.isfinite(total(model.loss(inputs)))


@pytest.mark.parametrize('method', METHODS)
def test_wrong_number_of_views(method):
    model = build(method)
    with pytest.raises(ValueError, match='the pipeline makes 7 views'):
        model.loss(pictures(7))


@pytest.mark.parametrize('options, message', [
    (dict(query_views=(0, ), key_views=(0, )), 'view 0 meets no query'),
    (dict(neck=dict(NECK, out_channels=8)), 'memory.dim=16 does not fit'),
    (dict(fill_views=(0, 5)), r'fill_views=\(0, 5\) must name'),
])
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build('CaCo', **options)


def test_unknown_mode():
    with pytest.raises(ValueError, match="CaCo has no mode 'predict'"):
        build('CaCo')(pictures(2), mode='predict')
