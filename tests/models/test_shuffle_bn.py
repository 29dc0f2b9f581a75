# Copyright (c) caco_ext authors. All rights reserved.
"""Keys are encoded among the pictures of other ranks, where it matters."""
import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.logging import MessageHub
from torch import nn

from caco_ext.models.utils import needs_shuffle, shuffle_bn
from caco_ext.ops import batch_shuffle, batch_unshuffle, concat_all_gather
from tests.helpers.distributed import run_distributed
from tests.helpers.small_models import BACKBONE, CONFIGS, build, pictures

PLAIN = dict(BACKBONE, norm_cfg=dict(type='BN'))
KEY = 3, 0, 1


def exchange():
    """Rows back and forth, and how many of them this rank sent away."""
    sent, rank, ranks = [], dist.get_rank(), dist.get_world_size()
    send = dist.all_to_all_single

    def counted(out, rows, counts_in, counts_out):
        assert sum(counts_out) == len(rows)
        sent.append(len(rows) - counts_out[rank])
        return send(out, rows, counts_in, counts_out)

    size = 6
    order = np.random.default_rng(KEY).permutation(size * ranks)
    mine = order.reshape(ranks, -1)[rank]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dist, 'all_to_all_single', counted)
        for shape, memory_format in (((4, 5), torch.contiguous_format),
                                     ((3, 4, 4), torch.channels_last)):
            whole = torch.randn(
                size * ranks,
                *shape,
                generator=torch.Generator().manual_seed(0))
            rows = whole.chunk(ranks)[rank].contiguous()
            if len(shape) == 3:
                rows = rows.contiguous(memory_format=memory_format)
            shuffled, drawn = batch_shuffle(rows, KEY)
            assert np.array_equal(drawn, order)
            assert torch.equal(shuffled, whole[mine])
            assert torch.equal(batch_unshuffle(shuffled, drawn), rows)
    return sent, sum(mine // size != rank)


@pytest.mark.slow
@pytest.mark.parametrize('ranks', [2, 3])
def test_each_rank_gets_what_it_encodes_and_no_more(ranks):
    for sent, foreign in run_distributed(exchange, ranks):
        # Each rank sends as many rows away as it gets: there and back, twice.
        assert sent == [foreign] * 4 and foreign


def keys(method):
    """A method's keys of two views, and those of a gather by hand."""
    rank = dist.get_rank()
    hub = MessageHub.get_current_instance()
    hub.update_info('iter', 7)
    hub.update_info('fill_step', 0)
    options = dict(
        attention=dict(CONFIGS['CARE']['attention'], norm_cfg=dict(
            type='BN'))) if method == 'CARE' else dict(backbone=PLAIN)
    model = build(method, shuffle_bn=True, **options)
    assert needs_shuffle(model.key_encoder)
    views = [view.chunk(2)[rank] for view in pictures(2)]
    found = model.encode_keys(views, (0, 1))
    wanted = []
    for number, view in enumerate(views):
        order = np.random.default_rng((7, 0, number)).permutation(8)
        images = concat_all_gather(view)[order.reshape(2, -1)[rank]]
        with torch.no_grad():
            streams = model.encode(images, model.key_encoder)
        if not isinstance(streams, tuple):
            streams = streams,
        back = order.argsort().reshape(2, -1)[rank]
        streams = tuple(concat_all_gather(s)[back] for s in streams)
        wanted.append(streams if len(streams) > 1 else streams[0])
    return found, wanted


def keys_of_all():
    return [keys(method) for method in ('CLSA', 'CARE')]


@pytest.mark.slow
def test_keys_equal_those_of_a_gather_by_hand():
    for rank in run_distributed(keys_of_all, 2):
        for found, wanted in rank:
            torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_the_permutation_changes_from_step_to_step(monkeypatch):
    drawn = []
    monkeypatch.setattr(shuffle_bn, 'batch_shuffle', lambda images, key:
                        (images, drawn.append(key)))
    monkeypatch.setattr(shuffle_bn, 'batch_unshuffle', lambda x, _: x)

    def step():
        encode = shuffle_bn.shuffled(lambda images: images)
        for _ in range(2):
            encode(torch.zeros(1))

    hub = MessageHub.get_instance('without a runner')
    monkeypatch.setattr(MessageHub, 'get_current_instance', lambda: hub)
    for _ in range(2):
        step()
    assert len(set(drawn)) == 4
    # A resumed run draws the same again.
    drawn.clear()
    hub.update_info('iter', 5)
    for _ in range(2):
        step()
    assert drawn == [(5, 0, 0), (5, 0, 1)] * 2


def test_only_batch_statistics_of_single_ranks_need_it(monkeypatch):
    plain = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    assert not needs_shuffle(plain)
    monkeypatch.setattr(shuffle_bn, 'get_world_size', lambda: 2)
    assert needs_shuffle(plain)
    assert not needs_shuffle(nn.SyncBatchNorm.convert_sync_batchnorm(plain))
    assert needs_shuffle(nn.SyncBatchNorm(2, process_group='some of them'))
    assert not needs_shuffle(plain.eval())
    assert needs_shuffle(nn.BatchNorm1d(2, track_running_stats=False).eval())
    assert not needs_shuffle(nn.Sequential(nn.LayerNorm(2), nn.Linear(2, 2)))
