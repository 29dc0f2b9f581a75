# Copyright (c) caco_ext authors. All rights reserved.
"""A queue sharded over ranks is the queue that one process has."""
import pytest
import torch
from mmengine.registry import MODELS

import caco_ext  # noqa: F401
from caco_ext.models import CLSA
from tests.helpers.distributed import run_distributed
from tests.helpers.small_models import BATCH, DIM, features

# Weak, key and strong views, the two temperatures.
CASES = [((1, ), (0, ), 1, 0.2, 0.2), ((1, 2, 0), (0, 1), 2, 0.2, 0.1)]


def make_queue(shard, columns=24):
    torch.manual_seed(5)
    return MODELS.build(
        dict(type='FeatureQueue', num_columns=columns, dim=DIM, shard=shard))


def train(case, columns, shard):
    """Four steps, in which the queue wraps."""
    from mmengine.dist import get_rank, get_world_size
    ranks, rank = get_world_size(), get_rank()
    weak_views, key_views, strong, temperature, matching = case
    queue = make_queue(False, columns)
    if shard:
        whole, queue = queue.state_dict(), make_queue(True, columns)
        queue.load_state_dict(whole)
    head = MODELS.build(
        dict(
            type='CLSAHead',
            temperature=temperature,
            matching=dict(
                type='DistributionMatchingHead', temperature=matching)))
    pairs = CLSA.make_pairs(weak_views, key_views)
    found = []
    for step in range(4):
        weak, keys, strong_ = ([
            one.chunk(ranks)[rank].clone()
            for one in features(count, 10 * step + i)
        ] for i, count in enumerate((len(weak_views), len(key_views), strong)))
        learnt = [one.requires_grad_() for one in weak + strong_]
        losses = head(weak, keys, pairs, queue, strong_)
        loss = losses['loss_contrast'] + losses['loss_matching']
        grads = torch.stack(torch.autograd.grad(loss, learnt)) / ranks
        queue.step()
        found.append((loss.detach(), grads))
    return (found, queue.state_dict(), queue.columns.shape,
            queue.sharding.sent / 4, queue.metrics())


def train_all(shard):
    return [train(case, 24, shard) for case in CASES]


@pytest.mark.slow
@pytest.mark.parametrize('ranks', [1, 2, 4])
def test_sharded_equals_whole(ranks):
    whole = train_all(False)
    for number, results in enumerate(
            zip(*run_distributed(train_all, ranks, True))):
        found, state, _, _, metrics = whole[number]
        assert metrics == {}
        for step, (loss, grads) in enumerate(found):
            ours = [result[0][step] for result in results]
            torch.testing.assert_close(
                torch.stack([one[0] for one in ours]).mean(),
                loss,
                atol=1e-5,
                rtol=1e-5)
            torch.testing.assert_close(
                torch.cat([one[1] for one in ours], dim=1),
                grads,
                atol=1e-5,
                rtol=1e-5)
        for result in results:
            assert result[2] == (DIM, 24 // ranks)
            for name, value in state.items():
                assert torch.equal(result[1][name], value), name
            assert result[4].get('memory_sent_mib', 0) == result[3] / 2**20


def enqueue(columns, sizes):
    """Batches that neither the ranks nor the columns divide."""
    queue = make_queue(True, columns)
    queue.sync_from_rank0()
    wanted = make_queue(False, columns)
    wanted.load_state_dict(queue.state_dict())
    for seed, size in enumerate(sizes):
        keys = features(1, seed)[0][:size]
        for one in (queue, wanted):
            one.enqueue(keys)
            one.step()
    return queue.state_dict(), wanted.columns, int(wanted.pointer)


@pytest.mark.slow
def test_any_batch_enters_in_order():
    for state, columns, pointer in run_distributed(enqueue, 2, 10,
                                                   (3, 8, 1, 7, 2, 5)):
        assert torch.equal(state['columns'], columns)
        assert int(state['pointer']) == pointer


def save(path):
    queue = make_queue(True)
    queue.enqueue(features(1, 0)[0])
    queue.step()
    queue.collect()
    if queue.sharding.shard == 0:
        torch.save(queue.state_dict(), path)
    queue.release()


def load(path):
    queue = make_queue(True)
    queue.load_state_dict(torch.load(path))
    queue.enqueue(features(1, 1)[0])
    queue.step()
    return queue.state_dict(), queue.columns.shape


@pytest.mark.slow
def test_checkpoint_fits_another_number_of_ranks(tmp_path):
    path = str(tmp_path / 'queue.pth')
    run_distributed(save, 4, path)
    saved = torch.load(path)
    assert saved['columns'].shape == (DIM, 24)
    assert torch.equal(saved['columns'][:, :BATCH], features(1, 0)[0].t())
    alone, shape = load(path)
    assert shape == (DIM, 24)
    assert torch.equal(alone['columns'][:, 2 * BATCH:],
                       saved['columns'][:, 2 * BATCH:])
    for state, shape in run_distributed(load, 2, path):
        assert shape == (DIM, 12)
        for name, value in alone.items():
            assert torch.equal(state[name], value), name


def sizes():
    return [train(CASES[0], columns, True)[3] for columns in (24, 240)]


@pytest.mark.slow
def test_what_is_sent_does_not_depend_on_the_columns():
    for few, many in run_distributed(sizes, 2):
        # Gathered are one weak and one strong query a picture; summed of
        # each, on all ranks, its mean column and two numbers.
        rows = 2 * BATCH
        assert few == many == rows // 2 * DIM * 4 + rows * (DIM + 2) * 4
