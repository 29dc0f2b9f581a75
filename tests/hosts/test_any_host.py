"""The same numbers on every host."""
import pytest
import torch

from tests.helpers.small_models import build, pictures, total

# Losses of three steps from seed 0, computed beside mmselfsup 1.0.0.
LOSSES = dict(
    AdCo=[2.8171160250, 2.8976349534, 3.4083474993],
    CaCo=[6.7868028750, 9.5254202137, 5.3894115077],
    CLSA=[6.5079356479, 7.1259707998, 7.2877164224],
    CARE=[35.7711557388, 20.9294788567, 19.5522130579])


@pytest.mark.parametrize('method', LOSSES)
def test_losses_do_not_depend_on_the_host(method, monkeypatch):
    # Double precision, or the processor's rounding would make 1e-4 of them.
    monkeypatch.setattr(torch.Tensor, 'float', torch.Tensor.double)
    model = build(method).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for step in range(3):
        views = pictures(model.num_views, seed=step)
        loss = total(model.loss([view.double() for view in views]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == pytest.approx(LOSSES[method], rel=1e-8)
