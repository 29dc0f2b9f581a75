# Copyright (c) caco_ext authors. All rights reserved.
"""Walks over the columns: threads, and what one pass keeps for another."""
import os

import pytest
import torch
from mmengine.registry import MODELS
from torch.nn import functional as F

import caco_ext  # noqa: F401
from caco_ext.models import CaCo
from caco_ext.ops import SoftmaxCache, bank_logsumexp, nearest_columns
from caco_ext.ops.blocks import chunks_of_blocks, parallel_map

COLUMNS, DIM, ROWS = 2000, 8, 6


def unit_vectors(seed):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(ROWS, DIM, generator=generator), dim=1)


@pytest.fixture
def threads():
    """Set torch's number of threads for a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def step(temperature=0.1, cache_mib=64., change=None):
    """One step of CaCo; loss, gradient, columns, velocity."""
    torch.manual_seed(0)
    bank = MODELS.build(
        dict(
            type='LearnableBank',
            num_columns=COLUMNS,
            dim=DIM,
            temperature=temperature,
            weight_decay=1e-3,
            cache_mib=cache_mib,
            init='random'))
    head = MODELS.build(dict(type='CaCoHead', temperature=0.2))
    queries, keys = ([unit_vectors(seed)] for seed in (1, 2))
    queries[0].requires_grad_()
    loss = head(queries, keys, CaCo.make_pairs((0, ), (1, )), bank)['loss']
    grad, = torch.autograd.grad(loss, queries)
    if change:
        change(bank)
    bank.step()
    return loss.detach(), grad, bank.columns, bank.velocity


def test_chunks_hold_every_column_once():
    chunks = chunks_of_blocks(torch.empty(DIM, COLUMNS), ROWS, 100)
    assert 1 < len(chunks) <= 16
    blocks = [block for chunk in chunks for block in chunk]
    assert [block.start for block in blocks] == list(range(0, COLUMNS, 100))
    assert blocks[-1].stop == COLUMNS


def test_results_do_not_depend_on_threads(threads, monkeypatch):
    monkeypatch.setattr('caco_ext.ops.blocks.MIN_BLOCK', 64)
    monkeypatch.setattr('caco_ext.ops.blocks.WORK', 64 * DIM)
    found = []
    for count in (1, 2, 3):
        threads(count)
        found.append(step())
        assert torch.get_num_threads() == count
    for other in found[1:]:
        for mine, theirs in zip(found[0], other):
            assert torch.equal(mine, theirs)


def test_threads_run_operations_alone_and_tell_of_errors(threads):
    threads(2)
    chunks = [[slice(i, i + 1)] for i in range(4)]
    assert parallel_map(lambda chunk: (torch.get_num_threads(), chunk),
                        chunks) == [(1, chunk) for chunk in chunks]
    assert not any(parallel_map(lambda chunk: torch.is_grad_enabled(), chunks))
    with pytest.raises(ZeroDivisionError):
        parallel_map(lambda chunk: 1 / chunk[0].start, chunks)


def test_a_forked_process_has_threads_of_its_own(threads):
    threads(2)
    chunks = [[slice(i, i + 1)] for i in range(4)]
    parallel_map(len, chunks)
    child = os.fork()
    if not child:
        os._exit(0 if parallel_map(len, chunks) == [1] * 4 else 1)
    assert os.waitpid(child, 0)[1] == 0


# Nothing, a part and all of the weights; below 1 / 60 nothing is kept.
@pytest.mark.parametrize('temperature', [0.1, 0.01])
@pytest.mark.parametrize('cache_mib', [0.02, 64])
def test_kept_weights_are_those_made_again(temperature, cache_mib,
                                           monkeypatch):
    monkeypatch.setattr('caco_ext.ops.blocks.MIN_BLOCK', 64)
    monkeypatch.setattr('caco_ext.ops.blocks.WORK', 64 * DIM)
    for mine, plain in zip(step(temperature, cache_mib), step(temperature, 0)):
        torch.testing.assert_close(mine, plain)


def test_what_is_kept_is_forgotten_when_the_columns_change():
    queries, columns = unit_vectors(0).requires_grad_(), torch.randn(DIM, 90)
    cache = SoftmaxCache()
    bank_logsumexp(queries, columns, 0.1, cache=cache)
    assert cache.fits(queries, columns) and len(cache.weights) == 90
    assert not cache.fits(queries.clone(), columns)
    wanted = nearest_columns(unit_vectors(1), columns)
    assert torch.equal(
        nearest_columns(unit_vectors(1), columns, inverses=cache.inverse),
        wanted)
    columns[0, 0] = 1
    assert not cache.knows(columns) and not cache.fits(queries, columns)


def test_a_step_after_a_change_is_made_from_the_columns_there_are():

    def double(bank):
        bank.columns.mul_(2)

    for mine, plain in zip(step(change=double), step(0.1, 0, double)):
        torch.testing.assert_close(mine, plain)


def test_room_is_limited():
    cache = SoftmaxCache(limit=ROWS * 4 * 50)
    queries, columns = unit_vectors(0).requires_grad_(), torch.randn(DIM, 90)
    bank_logsumexp(queries, columns, 0.1, cache=cache)
    assert cache.weights.shape == (50, ROWS)
    with pytest.raises(ValueError, match='cache_mib=-1 of the bank'):
        step(cache_mib=-1)
