# Copyright (c) caco_ext authors. All rights reserved.
"""A bank sharded over ranks is the bank that one process has."""
import pytest
import torch
import torch.distributed as dist
from mmengine.registry import MODELS
from torch.nn.parallel import DistributedDataParallel

import caco_ext  # noqa: F401
from caco_ext.models import AdCo, CaCo
from tests.helpers.distributed import run_distributed
from tests.helpers.small_models import (BANK, DIM, build, features, pictures,
                                        total)

COLUMNS = 40
METHODS = dict(AdCo=AdCo, CaCo=CaCo)
CASES = [('AdCo', ((0, ), (1, ))), ('AdCo', ((0, 1), (0, 1))),
         ('AdCo', ((1, 2, 3, 4, 5), (0, ))), ('CaCo', ((0, 1), (0, 1))),
         ('CaCo', (tuple(range(8)), (0, 1)))]


def make_bank(shard, **options):
    return MODELS.build(
        dict(
            type='LearnableBank',
            num_columns=COLUMNS,
            dim=DIM,
            temperature=0.1,
            weight_decay=1e-3,
            lr=0.5,
            shard=shard,
            **options))


def train(name, views, shard):
    """Fill, two accumulated passes, a step, and one more."""
    from mmengine.dist import get_rank, get_world_size
    ranks, rank = get_world_size(), get_rank()
    bank = make_bank(shard)
    seed = 0
    while bank.needs_fill:
        bank.write(features(1, seed)[0])
        seed += 1
    head = MODELS.build(dict(type=f'{name}Head', temperature=0.2))
    pairs = METHODS[name].make_pairs(*views)
    losses, grads = [], []
    for passes in (2, 1):
        for _ in range(passes):
            seed += 2
            queries, keys = ([
                one.chunk(ranks)[rank].clone()
                for one in features(len(views[i]), seed + i)
            ] for i in (0, 1))
            for query in queries:
                query.requires_grad_()
            loss = head(queries, keys, pairs, bank)['loss']
            grads.append(
                torch.stack(torch.autograd.grad(loss, queries)) / ranks)
            losses.append(loss.detach())
        bank.step()
    state = {name: one.clone() for name, one in bank.state_dict().items()}
    return (torch.stack(losses), grads, state, bank.metrics(),
            bank.sharding.sent, bank.columns.shape)


def train_all(shard):
    return [train(*case, shard) for case in CASES]


@pytest.mark.slow
@pytest.mark.parametrize('ranks', [1, 2, 4])
def test_sharded_equals_whole(ranks):
    whole = train_all(False)
    for number, results in enumerate(
            zip(*run_distributed(train_all, ranks, True))):
        loss, grads, state, metrics, *_ = whole[number]
        losses = torch.stack([result[0] for result in results])
        torch.testing.assert_close(losses.mean(0), loss, atol=1e-5, rtol=1e-5)
        for i, grad in enumerate(grads):
            mine = torch.cat([result[1][i] for result in results], dim=1)
            torch.testing.assert_close(mine, grad, atol=1e-5, rtol=1e-5)
        for result in results:
            assert result[-1] == (DIM, COLUMNS // ranks)
            assert result[2].keys() == state.keys()
            for name, value in state.items():
                torch.testing.assert_close(
                    result[2][name], value, atol=1e-5, rtol=1e-5)
            for name, value in metrics.items():
                assert result[3][name] == pytest.approx(value, rel=1e-5)


def save(path):
    torch.manual_seed(0)  # the same on all ranks
    bank = make_bank(True, init='random')
    bank.velocity.copy_(bank.columns + 1)
    bank.collect()
    if bank.sharding.shard == 0:
        # The main process alone, as the runner does.
        torch.save(bank.state_dict(), path)
    bank.release()
    return bank.sharding.num_shards


def load(path):
    bank = make_bank(True)
    bank.load_state_dict(torch.load(path))
    return bank.state_dict(), bank.columns.shape


@pytest.mark.slow
def test_checkpoint_fits_another_number_of_ranks(tmp_path):
    path = str(tmp_path / 'bank.pth')
    run_distributed(save, 4, path)
    saved = torch.load(path)
    assert saved['columns'].shape == (DIM, COLUMNS)
    assert len(set(saved['columns'][0].tolist())) == COLUMNS
    assert torch.equal(saved['velocity'], saved['columns'] + 1)
    for state, shape in [*run_distributed(load, 2, path), load(path)]:
        for name, value in saved.items():
            assert torch.equal(state[name], value), name
    assert shape == (DIM, COLUMNS)
    whole = make_bank(False)
    whole.load_state_dict(saved)
    assert torch.equal(whole.columns, saved['columns'])


def step_with(columns):
    """Bytes that one step sends."""
    sent = []
    for shard in (True, False):
        bank = MODELS.build(
            dict(
                type='LearnableBank',
                num_columns=columns,
                dim=DIM,
                shard=shard,
                init='random'))
        queries, keys = features(1, 0), features(1, 1)
        queries[0].requires_grad_()
        head = MODELS.build(dict(type='CaCoHead'))
        head(queries, keys, CaCo.make_pairs((0, ), (1, )), bank)
        bank.step()
        sent.append(bank.sharding.sent)
        assert bank.metrics()['memory_sent_mib'] == sent[-1] / 2**20
        bank.reset_metrics()
        assert 'memory_sent_mib' not in bank.metrics()
    return sent


def test_nothing_of_the_size_of_the_bank_is_sent():
    (divided, whole), (large, larger) = (
        run_distributed(step_with, 2, columns)[0] for columns in (64, 640))
    assert divided == large
    assert larger - whole == (640 - 64) * DIM * 4


def refusal():
    with pytest.raises(ValueError) as error:
        make_bank(True)
    return str(error.value)


def test_columns_must_divide():
    messages = run_distributed(refusal, 3)
    assert len(messages) == 3
    assert all('divisible by 3 ranks; use 39' in text for text in messages)


def train_under_ddp():
    """The shards after two steps, as DDP broadcasts buffers and does not."""
    columns = []
    for broadcast in (True, False):
        model = build('CaCo', memory=dict(BANK, shard=True))
        ddp = DistributedDataParallel(model, broadcast_buffers=broadcast)
        for seed in range(2):
            views = pictures(2, seed=10 * dist.get_rank() + seed)
            total(ddp(views, mode='loss')).backward()
            model.after_step()
            model.zero_grad()
        sent = {name
                for name, _ in model.named_buffers()} - set(
                    ddp.parameters_to_ignore)
        assert 'backbone.bn1.running_mean' in sent
        assert not [name for name in sent if name.startswith('memory.')]
        columns.append(model.memory.columns.clone())
    return columns


@pytest.mark.slow
def test_ddp_leaves_shards_alone():
    """DDP broadcasts buffers by default."""
    (one, other), (one_1, other_1) = run_distributed(train_under_ddp, 2)
    assert torch.equal(one, other) and torch.equal(one_1, other_1)
    assert not torch.isclose(one, one_1).any()
