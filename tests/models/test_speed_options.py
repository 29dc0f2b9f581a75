"""What makes a step faster leaves its numbers alone."""
import pytest
import torch

from tests.helpers.small_models import CONFIGS, build, pictures, total


def gradients(model):
    torch.manual_seed(0)
    losses = total(model.loss(pictures(model.num_views)))
    losses.backward()
    return losses.detach(), {
        name: param.grad
        for name, param in model.named_parameters() if param.requires_grad
    }


@pytest.mark.parametrize('method', list(CONFIGS))
def test_channels_last(method):
    loss, wanted = gradients(build(method))
    model = build(method, channels_last=True)
    formats = []
    for encoder in (model, model.key_encoder):
        weight = encoder.backbone.layer4[0].conv1.weight
        assert weight.is_contiguous(memory_format=torch.channels_last)
        encoder.backbone.conv1.register_forward_pre_hook(
            lambda _, args: formats.append(args[0].is_contiguous(
                memory_format=torch.channels_last)))
    fast, got = gradients(model)
    assert formats and all(formats)
    torch.testing.assert_close(fast, loss)
    # Sums come in another order, and batch norms magnify it; a gradient that
    # is nearly zero is all rounding.
    largest = max(value.norm() for value in wanted.values())
    for name, value in wanted.items():
        error = (got[name] - value).norm()
        assert error < 1e-3 * max(value.norm(), largest / 100), name
    # A checkpoint of one goes into the other, and keeps the layout.
    model.load_state_dict(build(method, seed=1).state_dict())
    weight = model.backbone.layer4[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('method', list(CONFIGS))
def test_a_seed_gives_the_same_weights_in_both_layouts(method):
    states = []
    for channels_last in (False, True):
        model = build(method, channels_last=channels_last)
        torch.manual_seed(3)
        model.init_weights()
        states.append(model.state_dict())
    drawn = states[0]['backbone.layer4.0.conv1.weight']
    assert not drawn.equal(
        build(method).state_dict()['backbone.layer4.0.conv1.weight'])
    for name, value in states[0].items():
        assert torch.equal(states[1][name], value), name


@pytest.mark.slow
def test_compiled_backbones():
    from torch._dynamo.utils import counters
    loss, wanted = gradients(build('CaCo'))
    counters.clear()
    # The back end that translates nothing: what counts is what is compiled.
    model = build('CaCo', compile_backbones=dict(backend='eager'))
    fast, got = gradients(model)
    assert counters['stats']['unique_graphs'] >= 2
    torch.testing.assert_close(fast, loss)
    for name, value in wanted.items():
        torch.testing.assert_close(
            got[name], value, rtol=1e-4, atol=1e-5, msg=name)
    assert list(model.state_dict()) == list(build('CaCo').state_dict())


def test_compile_options_that_are_no_dict():
    with pytest.raises(ValueError, match="compile_backbones='{}' must be"):
        build('CaCo', compile_backbones='{}')
