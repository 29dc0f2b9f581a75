"""A model hears of each step of its optimizer once."""
import pytest
import torch
from torch import nn
from torch.optim import SGD

from caco_ext.models.utils.step_listener import call_after_step


class Counting(nn.Linear):
    """Counts what it hears."""
    steps = 0

    def after_step(self):
        self.steps += 1


class Sharded(SGD):
    """Steps an optimizer of some parameters inside its own step, as
    ZeroRedundancyOptimizer does; a rank's share may be another model's."""

    def __init__(self, params, share):
        super().__init__(params, lr=0.1)
        self.optim = SGD(share, lr=0.1)

    def step(self, closure=None):
        self.optim.step()


@pytest.mark.parametrize('has_share', [True, False])
def test_a_sharded_optimizer_is_heard_once(has_share):
    model, other = Counting(2, 2), nn.Linear(1, 1)
    call_after_step(model)
    share = [model.weight] if has_share else other.parameters()
    optimizer = Sharded(model.parameters(), share)
    for steps in (1, 2):
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        assert model.steps == steps


def test_another_models_step_is_not_heard():
    model, other = Counting(2, 2), Counting(2, 2)
    call_after_step(model)
    call_after_step(other)
    SGD(other.parameters(), lr=0.1).step()
    assert (model.steps, other.steps) == (0, 1)
