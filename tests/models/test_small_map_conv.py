"""A convolution as a product of matrices on maps of a few places."""
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from caco_ext.models.utils import SmallMapConv2d


def both(size, **options):
    """Output and gradients of torch's convolution and of ours."""
    torch.manual_seed(0)
    x = torch.randn(3, 4, *size, dtype=torch.float64)
    results = []
    for kind in (nn.Conv2d, SmallMapConv2d):
        torch.manual_seed(1)
        conv = kind(4, 6, **options).double()
        leaf = x.clone().requires_grad_()
        y = conv(leaf)
        (y * torch.arange(y.numel()).view(y.shape)).sum().backward()
        results.append([y, leaf.grad, *(p.grad for p in conv.parameters())])
    return results


@pytest.mark.parametrize('size, options', [
    ((1, 1), dict(kernel_size=3, padding=1, bias=False)),
    ((2, 2), dict(kernel_size=3, padding=1, stride=2)),
    ((2, 1), dict(kernel_size=3, padding=1, stride=2)),
    ((1, 1), dict(kernel_size=1, stride=2)),
    ((2, 2), dict(kernel_size=1, stride=2)),
    ((3, 3), dict(kernel_size=3)),
    ((4, 4), dict(kernel_size=3, stride=2)),
    ((2, 3), dict(kernel_size=(3, 5), padding=(1, 1), stride=2)),
])
def test_one_place(size, options, monkeypatch):
    plain, ours = both(size, **options)
    assert plain[0].shape[2:] == (1, 1)
    for a, b in zip(plain, ours):
        torch.testing.assert_close(a, b)
    # and not by torch's convolution
    monkeypatch.setattr(nn.Conv2d, 'forward', None)
    conv = SmallMapConv2d(4, 6, **options)
    assert conv(torch.randn(3, 4, *size)).shape == (3, 6, 1, 1)


@pytest.mark.parametrize('size, options', [
    ((2, 2), dict(kernel_size=3, padding=1, bias=False)),
    ((2, 2), dict(kernel_size=3, padding=1)),
    ((1, 2), dict(kernel_size=3, padding=1)),
    ((3, 2), dict(kernel_size=(5, 3), padding=(2, 1))),
])
@pytest.mark.parametrize('layout',
                         [torch.contiguous_format, torch.channels_last])
def test_all_places_meet(size, options, layout, monkeypatch):
    plain, ours = both(size, **options)
    for a, b in zip(plain, ours):
        torch.testing.assert_close(a, b)
    conv = SmallMapConv2d(4, 6, **options).to(memory_format=layout)
    x = torch.randn(3, 4, *size).to(memory_format=layout)
    expected = nn.Conv2d.forward(conv, x)
    monkeypatch.setattr(nn.Conv2d, 'forward', None)
    torch.testing.assert_close(conv(x), expected)


@pytest.mark.parametrize('size, options', [
    ((3, 3), dict(kernel_size=3, padding=1)),
    ((2, 3), dict(kernel_size=3, padding=1)),
    ((2, 2), dict(kernel_size=2, padding=1)),
    ((4, 4), dict(kernel_size=3, padding=1, stride=2)),
    ((5, 5), dict(kernel_size=3, stride=2)),
    ((1, 1), dict(kernel_size=3, padding=1, groups=2)),
    ((1, 1), dict(kernel_size=3, padding=2, dilation=2)),
    ((1, 1), dict(kernel_size=3, padding='same')),
    ((2, 2), dict(kernel_size=3, padding=1, padding_mode='reflect')),
    ((1, 1), dict(kernel_size=1, padding=1, stride=3)),
])
def test_elsewhere_it_is_torchs(size, options):
    for a, b in zip(*both(size, **options)):
        assert torch.equal(a, b)


def test_too_small_a_map_is_refused_as_torch_does():
    with pytest.raises(RuntimeError, match="can't be greater than actual"):
        SmallMapConv2d(4, 6, 3)(torch.randn(3, 4, 1, 1))


def test_resnet_is_the_same_network():
    init_default_scope('mmselfsup')
    config = dict(type='ResNet', depth=18, out_indices=[4])
    nets = []
    for extra in ({}, dict(conv_cfg=dict(type='SmallMapConv2d'))):
        torch.manual_seed(0)
        net = MODELS.build(dict(config, **extra))
        net.init_weights()
        nets.append(net.double())
    plain, ours = nets
    assert sum(isinstance(m, SmallMapConv2d) for m in ours.modules()) == 20
    for (name, a), (other, b) in zip(plain.state_dict().items(),
                                     ours.state_dict().items()):
        assert name == other and torch.equal(a, b)
    x = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    a, b = (net(x)[-1] for net in nets)
    torch.testing.assert_close(a, b)
    for net, y in zip(nets, (a, b)):
        y.square().sum().backward()
    for p, q in zip(plain.parameters(), ours.parameters()):
        torch.testing.assert_close(p.grad, q.grad)
