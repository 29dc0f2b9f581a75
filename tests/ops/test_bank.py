# Copyright (c) caco_ext authors. All rights reserved.
"""The bank's mathematics against plain formulas and autograd."""
import pytest
import torch
from torch.nn import functional as F

from caco_ext.ops import (bank_gradient, bank_logsumexp, nearest_columns,
                          pick_columns, plain_bank_gradient, plain_logsumexp,
                          plain_softmax_mean, softmax_mean)


@pytest.fixture
def bank():
    generator = torch.Generator().manual_seed(0)
    queries = F.normalize(
        torch.randn(7, 12, generator=generator).double(), dim=1)
    columns = 3 * torch.randn(12, 53, generator=generator).double()
    return queries, columns


def plain_cosines(queries, columns):
    return queries @ F.normalize(columns, dim=0)


# Blocks that divide the columns, that do not, and one larger than they are.
@pytest.mark.parametrize('block', [1, 8, 53, 100])
@pytest.mark.parametrize('temperature', [0.02, 0.08, 1.])
def test_logsumexp_and_its_gradient(bank, block, temperature):
    queries, columns = bank
    queries.requires_grad_()
    weights = torch.linspace(-1, 2, len(queries)).double()
    ours, other = bank_logsumexp(queries, columns, temperature, 0.3, block)
    grad, = torch.autograd.grad((ours * weights).sum(), queries)
    plain = plain_logsumexp(queries, columns, temperature)
    wanted, = torch.autograd.grad((plain * weights).sum(), queries)
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(other,
                               plain_logsumexp(queries, columns, 0.3).detach())
    torch.testing.assert_close(grad, wanted)
    assert not other.requires_grad


def test_logsumexp_passes_gradcheck(bank):
    queries, columns = bank
    queries = queries[:2].requires_grad_()
    assert torch.autograd.gradcheck(
        lambda q: bank_logsumexp(q, columns, 0.2, None, 10)[0], (queries, ))


def test_logsumexp_does_not_overflow_or_vanish():
    """Cosines of -1 and 1 at a temperature that float32 cannot exponentiate
    without a maximum."""
    query = torch.tensor([[1., 0.]], requires_grad=True)
    columns = torch.tensor([[-2., -3.], [0., 0.]])
    lse, _ = bank_logsumexp(query, columns, 0.005)
    torch.testing.assert_close(lse,
                               torch.tensor([-200 + torch.tensor(2.).log()]))
    lse.sum().backward()
    assert torch.isfinite(query.grad).all()


@pytest.mark.parametrize('block', [1, 8, 100])
def test_nearest_columns(bank, block):
    queries, columns = bank
    wanted = plain_cosines(queries, columns).argmax(1)
    assert torch.equal(nearest_columns(queries, columns, block), wanted)


def test_nearest_column_of_equal_ones_is_the_first():
    columns = torch.tensor([[0., 2., 1., 3.], [1., 0., 0., 0.]])
    key = torch.tensor([[1., 0.]])
    assert nearest_columns(key, columns, block=2).tolist() == [1]


def test_cosines_of_chosen_columns(bank):
    queries, columns = bank
    index = torch.arange(7) * 7
    wanted = plain_cosines(queries, columns)[torch.arange(7), index]
    chosen = pick_columns(index, columns)
    torch.testing.assert_close((queries * chosen).sum(1), wanted)


def gradient(columns, *args, **kwargs):
    total = torch.zeros_like(columns)
    bank_gradient(*args, lambda part, grad: total[:, part].copy_(grad),
                  **kwargs)
    return total


@pytest.mark.parametrize('block', [1, 8, 100])
def test_gradient_of_a_softmax_is_autograds(bank, block):
    """Without corrections: dL/dW of the mean log-sum-exp."""
    queries, columns = bank
    columns.requires_grad_()
    lse = plain_logsumexp(queries, columns, 0.1)
    wanted, = torch.autograd.grad(lse.mean(), columns)
    normalisers = lse.detach() + torch.tensor(7.).log()
    args = queries, normalisers, columns.detach(), 0.1
    got = gradient(columns, *args, block=block)
    torch.testing.assert_close(got, wanted)
    torch.testing.assert_close(plain_bank_gradient(*args), wanted)


# The temperature decides whether a maximum is subtracted.
@pytest.mark.parametrize('temperature', [0.1, 0.01])
@pytest.mark.parametrize('block', [1, 8, 100])
def test_corrections_add_to_single_coefficients(bank, block, temperature):
    """Two of them meet in one place, two in one column."""
    queries, columns = bank
    rows = torch.tensor([0, 3, 3, 6, 0])
    places = torch.tensor([52, 9, 9, 9, 0])
    amount = torch.tensor([.5, -1., 2., .25, 1.]).double()
    z = plain_logsumexp(queries, columns, temperature) + 2
    args = queries, z, columns, temperature
    corrections = rows, places, amount
    got = gradient(columns, *args, corrections=corrections, block=block)
    torch.testing.assert_close(got, plain_bank_gradient(*args, corrections))


@pytest.mark.parametrize('temperature', [0.1, 0.01])
def test_softmax_mean(bank, temperature):
    lse, mean = softmax_mean(*bank, temperature, block=8)
    torch.testing.assert_close(mean, plain_softmax_mean(*bank, temperature))
    torch.testing.assert_close(lse, plain_logsumexp(*bank, temperature))


def test_gradient_is_orthogonal_to_its_column(bank):
    queries, columns = bank
    # Of negatives alone, and with what CaCo's positives add.
    positives = torch.arange(7), torch.arange(7) * 3, -torch.ones(7).double()
    for corrections in (None, positives):
        got = gradient(
            columns,
            queries,
            torch.zeros(7).double(),
            columns,
            0.1,
            corrections=corrections)
        assert got.abs().max() > 1
        torch.testing.assert_close((got * columns).sum(0),
                                   torch.zeros(53).double())


def test_a_column_without_length_is_left_where_it_is():
    """Its norm has normalize's lower limit 1e-12."""
    columns = torch.tensor([[3., 0.], [4., 0.]])
    query = torch.tensor([[1., 0.]])
    lse, _ = bank_logsumexp(query, columns, 1.)
    torch.testing.assert_close(
        lse,
        torch.tensor([0.6, 0.]).logsumexp(0, keepdim=True))


def test_nothing_of_size_rows_by_columns_is_kept():
    """Peak memory of a pass is bounded by the block, not by N x K."""
    queries = F.normalize(torch.randn(64, 8), dim=1).requires_grad_()
    columns = torch.randn(8, 40000)
    with torch.profiler.profile(profile_memory=True) as profile:
        bank_logsumexp(queries, columns, 0.1, 0.2, block=512)[0].sum()
    largest = max(event.self_cpu_memory_usage for event in profile.events()
                  if event.name.startswith('aten::'))
    # The columns' norms are the largest; N x K would be 10 MB.
    assert 0 < largest <= 4 * max(64 * 512, 40000) * 2
