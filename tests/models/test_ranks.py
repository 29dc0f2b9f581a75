# Copyright (c) caco_ext authors. All rights reserved.
"""Two processes with half a batch each give what one gives with all of it."""
import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from tests.helpers.distributed import run_distributed
from tests.helpers.small_models import CONFIGS, build, pictures, total

pytestmark = pytest.mark.slow

BANK = dict(CONFIGS['CaCo']['memory'], init='fill')


def train(method, seed=0, **options):
    """Some steps on this rank's share of one batch."""
    from mmengine.dist import get_rank, get_world_size
    torch.set_num_threads(1)
    ranks = get_world_size()
    # Each rank starts from a seed of its own, as long as DDP may mend it.
    model = build(method, seed=seed + get_rank(), momentum=0.9, **options)
    # Double precision: differences are then those of the method.
    model.double()
    wrapped = DistributedDataParallel(
        model, broadcast_buffers=False) if ranks > 1 else model
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], 0.1, 0.9)
    losses = []

    def step(mode, number):
        inputs = [
            view.double().chunk(ranks)[get_rank()]
            for view in pictures(model.num_views, seed=number)
        ]
        optimizer.zero_grad()
        loss = total(wrapped(inputs, mode=mode))
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())

    if getattr(model.memory, 'needs_fill', False):
        while model.memory.needs_fill:
            step('fill', len(losses))
        model.end_fill()
    for number in range(3):
        step('loss', 100 + number)
    return losses, {
        name: value.clone()
        for name, value in model.state_dict().items()
    }


def train_in_double(*args):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, 'float', torch.Tensor.double)
        method, options = args
        return train(method, **options)


# The shuffle draws a permutation that one process does not know; with
# synchronised batch norms it changes nothing.
@pytest.mark.parametrize('method, options', [
    ('AdCo', dict(memory=BANK)),
    ('CaCo', dict(memory=BANK)),
    ('CLSA', dict()),
    ('CARE', dict(shuffle_bn=False)),
])
def test_two_ranks_equal_one(method, options):
    if method == 'CARE':
        options['attention'] = dict(
            CONFIGS['CARE']['attention'], norm_cfg=dict(type='SyncBN'))
    losses, one = train_in_double(method, options)
    ranks = run_distributed(train_in_double, 2, method, options)
    for (rank_losses, state), (_, other) in zip(ranks, ranks[::-1]):
        for name, value in state.items():
            torch.testing.assert_close(
                value, one[name], rtol=1e-6, atol=1e-6, msg=name)
            # Bit-equal, but for statistics that synchronise themselves.
            if name.startswith('memory') or 'running' not in name:
                assert torch.equal(value, other[name]), name
    mean = [(a + b) / 2 for a, b in zip(ranks[0][0], ranks[1][0])]
    torch.testing.assert_close(mean, losses, rtol=1e-6, atol=1e-6)
