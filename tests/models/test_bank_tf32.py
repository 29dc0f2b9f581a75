"""The bank's products in TF32, emulated: what a GPU would round off."""
import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from caco_ext.models import LearnableBank
from caco_ext.ops import plain_bank_gradient, plain_logsumexp

aten = torch.ops.aten
PRODUCTS = aten.mm, aten.addmm, aten.addmm_


class EmulatedTF32(TorchDispatchMode):
    """Where torch is set to TF32, factors get a mantissa of 10 bits.

    Args:
        truncate (bool): Cut the other 13 bits off; else round to the nearest.
    """

    def __init__(self, truncate=False):
        super().__init__()
        self.half = 0 if truncate else 1 << 12
        self.products = self.rounded = 0

    def round(self, factor):
        bits = factor.contiguous().view(torch.int32) + self.half
        return (bits >> 13 << 13).view(torch.float32)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in PRODUCTS:
            self.products += 1
            if torch.get_float32_matmul_precision() == 'high':
                self.rounded += 1
                *others, one, two = args
                args = *others, self.round(one), self.round(two)
        return func(*args, **(kwargs or {}))


def relative(got, wanted):
    """The largest error beside the largest value."""
    return float((got.double() - wanted).abs().max() / wanted.abs().max())


def errors(mode, tf32, n=64, c=128, k=2048, t=0.08, bank_t=0.02):
    """Errors of a bank against float64, and how often it finds another
    nearest column."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a mode holds for one thread
    generator = torch.Generator().manual_seed(0)
    queries, keys = (
        F.normalize(torch.randn(n, c, generator=generator), dim=1)
        for _ in range(2))
    torch.manual_seed(1)
    memory = LearnableBank(k, c, bank_t, lr=0., init='random', tf32=tf32)
    exact = [x.double() for x in (queries, keys, memory.columns)]
    with mode:
        q = queries.clone().requires_grad_()
        lse, bank_lse = memory.logsumexp(q, t)
        gradient, = torch.autograd.grad(lse.sum(), q)
        nearest = memory.nearest(keys)
        memory.accumulate(q, bank_lse)
        memory.step()
    torch.set_num_threads(threads)
    q, keys, columns = exact
    q = q.requires_grad_()
    wanted = plain_logsumexp(q, columns, t)
    wanted_gradient, = torch.autograd.grad(wanted.sum(), q)
    z = plain_logsumexp(q.detach(), columns, bank_t)
    found = (keys @ F.normalize(columns, dim=0)).argmax(dim=1)
    return dict(
        logsumexp=relative(lse.detach(), wanted.detach()),
        queries=relative(gradient, wanted_gradient),
        bank=relative(memory.velocity,
                      -plain_bank_gradient(q.detach(), z, columns, bank_t)),
        other_column=float((nearest != found).double().mean()))


@pytest.mark.parametrize('truncate', [False, True])
def test_error_of_tf32(truncate):
    """The figures of docs/performance.md are of a larger bank."""
    mode = EmulatedTF32(truncate)
    found = errors(mode, tf32=True)
    # Cosines; nearest columns; mean and gradient in one product each.
    assert mode.products == mode.rounded > 3
    assert 1e-6 < found['logsumexp'] < 1e-3
    assert 1e-5 < found['queries'] < 4e-3
    assert 1e-4 < found['bank'] < 5e-3
    assert found['other_column'] <= 0.05
    assert torch.get_float32_matmul_precision() == 'highest'


def test_without_it_all_is_float32():
    mode = EmulatedTF32()
    found = errors(mode, tf32=False)
    assert mode.products > 3 and not mode.rounded
    assert found['logsumexp'] < 1e-6 and found['queries'] < 1e-5
    assert found['bank'] < 1e-4 and not found['other_column']


def test_an_error_inside_brings_the_setting_back():
    memory = LearnableBank(8, 4, init='random', tf32=True)
    with pytest.raises(RuntimeError):
        memory.nearest(torch.zeros(3, 5))
    assert torch.get_float32_matmul_precision() == 'highest'
