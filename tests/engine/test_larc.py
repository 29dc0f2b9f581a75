"""The optimizer of CaCo's linear probe, and closures."""
import pytest
import torch
from mmengine.registry import OPTIMIZERS

import caco_ext  # noqa: F401  # registers it


def test_larc_is_the_papers_rule():
    """Scaled where norms are not zero; a zero bias takes plain steps."""
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(3, 4))
    bias = torch.nn.Parameter(torch.zeros(3))
    optimizer = OPTIMIZERS.build(
        dict(type='LARC', params=[weight, bias], lr=0.4, weight_decay=0.1))
    plain, velocity = weight.detach().double(), 0
    for step in range(3):
        gradient = torch.randn(3, 4)
        weight.grad, bias.grad = gradient.clone(), torch.ones(3)
        optimizer.step()
        norm, slope = plain.norm(), gradient.double().norm()
        scaled = (gradient + 0.1 * plain) * 0.001 * norm / (
            slope + 0.1 * norm + 1e-8)
        velocity = 0.9 * velocity + scaled
        plain = plain - 0.4 * velocity
        torch.testing.assert_close(weight.double(), plain)
        if step == 0:
            torch.testing.assert_close(bias, torch.full((3, ), -0.4))
    assert optimizer.param_groups[0]['weight_decay'] == 0.1
    # measured of the original: -0.4 and then almost momentum alone
    bias = torch.nn.Parameter(torch.zeros(1))
    optimizer = OPTIMIZERS.build(dict(type='LARC', params=[bias], lr=0.4))
    for wanted in (-0.4, -0.76):
        bias.grad = torch.ones(1)
        optimizer.step()
        assert bias.item() == pytest.approx(wanted, abs=1e-3)
    with pytest.raises(ValueError, match='eps=-1'):
        OPTIMIZERS.build(dict(type='LARC', params=[bias], lr=1, eps=-1))


@pytest.mark.parametrize('kind', ['LARC', 'CaCoLARS'])
def test_a_closure_evaluates_the_loss_with_gradients(kind):
    weight = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = OPTIMIZERS.build(
        dict(type=kind, params=[weight], lr=0.1, momentum=0., weight_decay=0.))

    def closure():
        optimizer.zero_grad()
        loss = (3 * weight).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 12
    # 0.001 of the weight's norm, in the gradient's direction
    torch.testing.assert_close(weight, torch.full((2, 2), 1 - 1e-4))
    assert optimizer.step() is None
