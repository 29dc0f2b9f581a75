"""Random draws: a matter of seed, epoch and picture, not of the workers."""
import random

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import worker_init_fn
from torch.utils.data import DataLoader, TensorDataset

from caco_ext.datasets import EpochSeededSampler, ImageFolder


class Draw(BaseTransform):
    """Three draws from the generators that transforms use."""

    def transform(self, results):
        return (results['sample_idx'], np.random.rand(), random.random(),
                torch.rand(1).item())


def as_list(batch):
    return batch


def init_worker(worker_id):
    """What mmengine's runner does in every worker."""
    worker_init_fn(worker_id, 2, 0, 0)


def draws(folder, epochs, seed=0, **options):
    """Draws of each picture in each epoch."""
    data = ImageFolder(str(folder), pipeline=[Draw()])
    sampler = EpochSeededSampler(data, shuffle=True, seed=seed)
    loader = DataLoader(
        data,
        4,
        sampler=sampler,
        collate_fn=as_list,
        worker_init_fn=init_worker,
        **options)
    out = []
    for epoch in epochs:
        sampler.set_epoch(epoch)
        out.append({item[0]: item[1:] for batch in loader for item in batch})
    return out


@pytest.mark.slow
def test_same_draws_for_any_workers_and_after_resume(labelled):
    alone = draws(labelled, range(3), num_workers=0)
    for options in (dict(num_workers=2),
                    dict(num_workers=2, persistent_workers=True),
                    dict(num_workers=1, multiprocessing_context='fork')):
        assert draws(labelled, range(3), **options) == alone
    assert draws(labelled, [2], num_workers=2) == alone[2:]


def test_draws_do_not_repeat(labelled):
    epochs = draws(
        labelled, range(3), num_workers=2) + draws(
            labelled, [0], seed=1)
    values = [v for epoch in epochs for item in epoch.values() for v in item]
    assert len(values) == 4 * 30 * 3
    assert len(set(values)) == len(values)


def test_stream_gives_draws_of_its_own(labelled):
    data = ImageFolder(str(labelled), pipeline=[Draw()])
    sampler = EpochSeededSampler(data, seed=0)
    order, plain = list(sampler), data[0]
    sampler.set_epoch(0, stream=1)
    assert list(sampler) == order
    assert not set(plain[1:]) & set(data[0][1:])


def test_state_of_the_main_process_is_kept(labelled):
    data = ImageFolder(str(labelled), pipeline=[Draw()])
    EpochSeededSampler(data, seed=0)
    state = (np.random.get_state()[1].tolist(), random.getstate(),
             torch.get_rng_state().tolist())
    data[0]
    assert state == (np.random.get_state()[1].tolist(), random.getstate(),
                     torch.get_rng_state().tolist())


def test_unset_seed_leaves_the_generators_alone(labelled):
    data = ImageFolder(str(labelled), pipeline=[Draw()])
    assert data[0][1:] != data[0][1:]


def test_other_data_sets_are_refused():
    with pytest.raises(TypeError, match='TensorDataset.*DefaultSampler'):
        EpochSeededSampler(TensorDataset(torch.zeros(3)))
