"""SyncBatchNorm on a GPU, with the device's kernels stood in for.

The kernels exist for CUDA alone. Here their formulas run on the CPU, in two
processes, so what torch does around them and what this package does can be
compared and counted.
"""
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.library import Library
from torch.nn.modules import _functions, batchnorm

from tests.helpers.distributed import run_distributed
from tests.helpers.waits import Waits

pytestmark = pytest.mark.slow

# Rows of (rank 0, rank 1), shape of the rest, memory format
CASES = {
    'equal': ((3, 3), (4, 5, 5), torch.contiguous_format),
    'unequal': ((2, 4), (4, 3, 3), torch.contiguous_format),
    'channels last': ((4, 2), (4, 3, 5), torch.channels_last),
    '2d': ((4, 3), (4, ), torch.contiguous_format),
    'first empty': ((0, 4), (4, 3, 3), torch.contiguous_format),
    'second empty': ((4, 0), (4, 3, 3), torch.contiguous_format),
}


def over_rows(x):
    return [d for d in range(x.dim()) if d != 1]


def column(values, x):
    return values.view([1, -1] + [1] * (x.dim() - 2))


def stats(x, eps):
    var, mean = torch.var_mean(x, over_rows(x), correction=0)
    return mean, (var + eps).rsqrt()


def gather_stats(x, means, invstds, running_mean, running_var, momentum, eps,
                 counts):
    """Merges rank by rank, so a sum of counts that is 0 would show."""
    total, mean, spread = 0, 0, 0
    for m, invstd, count in zip(means, invstds, counts):
        shift, share = m - mean, 1 / (total + count)
        spread = spread + (invstd**-2 - eps) * count + \
            shift**2 * total * count * share
        mean = total * share * mean + count * share * m
        total = total + count
    if running_mean is not None:
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(spread / (total - 1), momentum)
    return mean, (spread / total + eps).rsqrt()


def elemt(x, weight, bias, mean, invstd, eps):
    return (x - column(mean, x)) * column(invstd * weight, x) + column(bias, x)


def backward_reduce(grad, x, mean, invstd, weight, *wanted):
    sums = grad.sum(over_rows(x))
    products = (grad * (x - column(mean, x))).sum(over_rows(x))
    return sums, products, products * invstd, sums.clone()


def backward_elemt(grad, x, mean, invstd, weight, sums, products, counts):
    total = counts.sum()
    shift = column(sums / total, x)
    slope = column(invstd**2 * products / total, x)
    return (grad - shift -
            (x - column(mean, x)) * slope) * column(invstd * weight, x)


KERNELS = dict(
    batch_norm_stats=stats,
    batch_norm_gather_stats_with_counts=gather_stats,
    batch_norm_elemt=elemt,
    batch_norm_backward_reduce=backward_reduce,
    batch_norm_backward_elemt=backward_elemt)


def make(name):
    """Two batches of both ranks, weights of the loss, and parameters."""
    rows, rest, _ = CASES[name]
    gen = torch.Generator().manual_seed(len(name))
    batches = torch.randn(2, sum(rows), *rest, generator=gen) * 2 + 10
    factors = torch.randn(sum(rows), *rest, generator=gen)
    weight = torch.rand(rest[0], generator=gen) + .5
    return batches, factors, weight, torch.rand(rest[0], generator=gen)


def apply(function, name):
    """Two steps of one rank; what is seen from outside, and the waits."""
    first, memory_format = CASES[name][0][0], CASES[name][2]
    mine = slice(0, first) if dist.get_rank() == 0 else slice(first, None)
    batches, factors, *params = make(name)
    params = [p.requires_grad_() for p in params]
    running = [torch.zeros(len(params[0])), torch.ones(len(params[0]))]
    outputs, grads, waits = [], [], []
    with Waits(waits):
        for batch in batches:
            x = batch[mine].contiguous(memory_format=memory_format)
            x.requires_grad_()
            out = function.apply(x, *params, *running, 1e-3, .1,
                                 dist.group.WORLD, 2)
            (out * factors[mine]).sum().backward()
            assert out.is_contiguous(memory_format=memory_format)
            outputs.append(out.detach())
            grads.append(x.grad)
    grads += [p.grad for p in params]
    return outputs, grads, running, waits


def both():
    import caco_ext  # noqa: F401
    library = Library('aten', 'IMPL')
    for kernel, function in KERNELS.items():
        library.impl(kernel, function, 'CPU')
    ours = batchnorm.sync_batch_norm
    assert issubclass(ours, _functions.SyncBatchNorm)
    return {
        name: [apply(f, name) for f in (ours, _functions.SyncBatchNorm)]
        for name in CASES
    }


@pytest.fixture(scope='module')
def ranks():
    return run_distributed(both, 2)


@pytest.mark.parametrize('name', CASES)
def test_equals_torch_without_its_waits(ranks, name):
    for (*ours, waits), (*torchs, torchs_waits) in (r[name] for r in ranks):
        assert not waits
        # Three in each of two forward passes, as on a GPU.
        assert torchs_waits == ['index'] * 6
        for mine, other in zip(ours, torchs):
            for a, b in zip(mine, other):
                if 'empty' in name:
                    torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
                else:
                    assert torch.equal(a, b)


@pytest.mark.parametrize('name', CASES)
def test_equals_plain_norm_of_the_whole_batch(ranks, name):
    batches, _, weight, bias = make(name)
    cls = nn.BatchNorm1d if batches.dim() == 3 else nn.BatchNorm2d
    layer = cls(len(weight), eps=1e-3).double()
    layer.weight.data, layer.bias.data = weight.double(), bias.double()
    outputs = [layer(batch.double()) for batch in batches]
    close = dict(rtol=1e-5, atol=1e-5)
    for parts, want in zip(zip(*(r[name][0][0] for r in ranks)), outputs):
        torch.testing.assert_close(torch.cat(parts).double(), want, **close)
    for rank in ranks:
        for got, want in zip(rank[name][0][2],
                             (layer.running_mean, layer.running_var)):
            torch.testing.assert_close(got.double(), want, **close)
