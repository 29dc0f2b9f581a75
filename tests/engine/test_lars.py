# Copyright (c) caco_ext authors. All rights reserved.
import copy

import pytest
import torch
from mmengine.registry import OPTIMIZERS

import caco_ext  # noqa: F401


def build(params, **options):
    return OPTIMIZERS.build(dict(type='CaCoLARS', params=params, **options))


def test_three_steps_with_a_changing_learning_rate():
    torch.manual_seed(0)
    shapes = [(8, 5), (7, ), (4, 3, 3, 3), (3, 3)]
    params = [torch.nn.Parameter(torch.randn(s).double()) for s in shapes]
    # A zero parameter: its ratio is one.
    params[3].data.zero_()
    plain = [p.detach().clone() for p in params]
    momenta = [torch.zeros_like(p) for p in plain]
    optimizer = build(params, lr=1.)
    for lr in (0.3, 1.2, 0.1):
        optimizer.param_groups[0]['lr'] = lr
        for i, param in enumerate(params):
            param.grad = torch.randn_like(param)
        grads = [p.grad.clone() for p in params]
        optimizer.step()
        for i, value in enumerate(plain):
            update = grads[i]
            if value.ndim > 1:
                update = update + 1.5e-6 * value
                norms = value.norm(), update.norm()
                if norms[0] > 0 and norms[1] > 0:
                    update = 0.001 * norms[0] / norms[1] * update
            momenta[i] = 0.9 * momenta[i] + update
            plain[i] = value - lr * momenta[i]
            torch.testing.assert_close(params[i].detach(), plain[i])


def test_first_steps_of_a_zero_parameter_are_plain():
    """-0.4, then -1.16 with momentum 0.9: no ratio where a norm is zero."""
    bias = torch.nn.Parameter(torch.zeros(3))
    optimizer = build([bias], lr=0.4)
    for wanted in (-0.4, -1.16):
        bias.grad = torch.ones(3)
        optimizer.step()
        torch.testing.assert_close(bias.detach(), torch.full((3, ), wanted))


def test_parameters_without_gradient_stay():
    with_grad, without = (
        torch.nn.Parameter(torch.ones(2, 2)) for _ in range(2))
    optimizer = build([with_grad, without], lr=1.)
    with_grad.grad = torch.ones(2, 2)
    optimizer.step()
    assert torch.equal(without, torch.ones(2, 2))
    assert not torch.equal(with_grad, torch.ones(2, 2))
    assert len(optimizer.state) == 1


def test_state_is_saved_and_loaded():
    param = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = build([param], lr=1.)
    param.grad = torch.ones(2, 2)
    optimizer.step()
    other = torch.nn.Parameter(param.detach().clone())
    resumed = build([other], lr=1.)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one, opt in ((param, optimizer), (other, resumed)):
        one.grad = torch.ones(2, 2)
        opt.step()
    assert torch.equal(param, other)


@pytest.mark.parametrize('name', ['lr', 'momentum', 'weight_decay'])
def test_refuses_negative_options(name):
    with pytest.raises(ValueError, match=f'{name}=-1 of CaCoLARS'):
        build([torch.nn.Parameter(torch.ones(1))],
              **dict(dict(lr=1.), **{name: -1}))
