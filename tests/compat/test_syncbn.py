"""Two processes with parts of a batch give what one gives with all of it."""
import pytest
import torch
import torch.distributed as dist
from mmcv.cnn import build_norm_layer
from torch import nn

from tests.helpers.distributed import run_distributed

# name: (arguments of the layer, shape of the batch, rows of rank 0)
CASES = {
    '4d': (dict(), (8, 5, 6, 6), 4),
    '2d': (dict(), (8, 5), 4),
    'unequal': (dict(), (8, 5, 3, 3), 2),
    'one row': (dict(), (2, 5), 1),
    'nothing on one rank': (dict(), (4, 5, 2, 2), 4),
    'average of all batches': (dict(momentum=None), (8, 5), 4),
    'not affine': (dict(affine=False), (8, 5, 2, 2), 4),
    'no statistics': (dict(track_running_stats=False), (8, 5), 4),
    'channels last': (dict(), (8, 5, 4, 6), 3),
}


def make(name, cls):
    """The layer, two batches and weights of the loss, the same anywhere."""
    kwargs, shape, _ = CASES[name]
    gen = torch.Generator().manual_seed(len(name))
    layer = cls(shape[1], eps=1e-3, **kwargs)
    if layer.affine:
        with torch.no_grad():
            layer.weight.uniform_(0.5, 2, generator=gen)
            layer.bias.uniform_(-1, 1, generator=gen)
    # A mean far from zero, of which the variance must not suffer.
    batches = torch.randn(2, *shape, generator=gen) * 2 + 10
    weights = torch.randn(shape, generator=gen)
    if name == 'one row':
        # The gradient of two rows is what remains of a cancellation.
        return layer.double(), batches.double(), weights.double()
    return layer, batches, weights


def pass_through(layer, batches, weights, rows, channels_last):
    """Two steps of training; what can be seen from outside."""
    outputs, grads = [], []
    for batch in batches:
        x = batch[rows].clone()
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        x.requires_grad_()
        out = layer(x)
        (out * weights[rows]).sum().backward()
        if channels_last:
            assert out.is_contiguous(memory_format=torch.channels_last)
        outputs.append(out.detach())
        grads.append(x.grad)
    running = [b.clone().double() for b in layer.buffers()]
    if layer.track_running_stats:
        layer.eval()
        outputs.append(layer(batches[0][rows]).detach())
    return (outputs, grads, [p.grad for p in layer.parameters()], running)


def ranks_part():
    """Called on both ranks."""
    import caco_ext  # noqa: F401
    results = {}
    for name, (_, _, first) in CASES.items():
        layer, batches, weights = make(name, nn.SyncBatchNorm)
        rows = slice(0, first) if dist.get_rank() == 0 else slice(first, None)
        results[name] = pass_through(layer, batches, weights, rows,
                                     name == 'channels last')
    return results


@pytest.fixture(scope='module')
def ranks():
    return run_distributed(ranks_part, 2)


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_two_ranks_equal_one(ranks, name):
    cls = nn.BatchNorm1d if len(CASES[name][1]) == 2 else nn.BatchNorm2d
    layer, batches, weights = make(name, cls)
    # In double precision, so that the error measured is not the reference's.
    wanted = pass_through(layer.double(), batches.double(), weights.double(),
                          slice(None), name == 'channels last')
    close = dict(rtol=1e-6, atol=2e-6)
    first, second = ranks[0][name], ranks[1][name]
    for kind in (0, 1):
        for a, b, whole in zip(first[kind], second[kind], wanted[kind]):
            torch.testing.assert_close(
                torch.cat([a, b]).double(), whole, **close)
    for a, b, whole in zip(first[2], second[2], wanted[2]):
        torch.testing.assert_close(
            (a + b).double(), whole, rtol=1e-6, atol=1e-5)
    for rank in (first, second):
        assert len(rank[3]) == len(wanted[3])
        for got, whole in zip(rank[3], wanted[3]):
            torch.testing.assert_close(got, whole, **close)


def torch_refuses():
    from mmengine.model import MMDistributedDataParallel
    from torch.nn.parallel import DistributedDataParallel as DDP

    import caco_ext  # noqa: F401
    with pytest.raises(ValueError, match='to be on GPU'):
        nn.SyncBatchNorm.forward.__wrapped__(
            nn.SyncBatchNorm(2), torch.ones(4, 2))
    handle = DDP._passing_sync_batchnorm_handle
    DDP._passing_sync_batchnorm_handle = handle.__wrapped__
    with pytest.raises(ValueError, match='only work with GPU'):
        DDP(nn.SyncBatchNorm(2))
    DDP._passing_sync_batchnorm_handle = handle

    # As mmcv builds it and as the runner wraps it.
    name, layer = build_norm_layer(dict(type='SyncBN'), 2)
    assert isinstance(layer, nn.SyncBatchNorm)
    model = MMDistributedDataParallel(module=layer, device_ids=[0])
    x = torch.full((2, 2), float(dist.get_rank()))
    x[:, 1] *= 3
    model(x).square().sum().backward()
    with pytest.raises(ValueError, match='more than 1 value per channel'):
        # Both ranks together have one row.
        layer(x[:1 - dist.get_rank()])
    return layer.running_mean, layer.running_var


@pytest.mark.slow
def test_what_torch_refuses_and_how_mmcv_builds_it():
    for mean, var in run_distributed(torch_refuses, 2):
        # Values 0 0 1 1 and 0 0 3 3, unbiased, momentum 0.1.
        torch.testing.assert_close(mean, torch.tensor([0.05, 0.15]))
        torch.testing.assert_close(var, 0.9 + 0.1 * torch.tensor([1 / 3, 3.]))


def alone():
    import caco_ext  # noqa: F401
    x = torch.randn(4, 2, 3, 3)
    plain, layer = nn.BatchNorm2d(2), nn.SyncBatchNorm(2)
    half = layer(x.bfloat16())
    assert half.dtype == torch.bfloat16
    layer = nn.SyncBatchNorm(2)
    return plain(x), layer(x), plain.running_var, layer.running_var


@pytest.mark.slow
def test_one_rank_is_plain_batch_norm():
    want, got, want_var, got_var = run_distributed(alone, 1)[0]
    assert torch.equal(want, got) and torch.equal(want_var, got_var)
