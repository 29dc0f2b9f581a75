"""Feature extraction: order, modes, labels, one process and several."""
import copy

import numpy as np
import pytest
import torch
from mmengine.dist import get_dist_info
from mmengine.structures import BaseDataElement
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from caco_ext.evaluation import (LabelledPictures, build_feature_loader,
                                 choose_share, features_and_labels,
                                 gather_shards, pool_features, preserve_rng,
                                 read_labels, translate_labels)
from tests.helpers.distributed import run_distributed
from tests.helpers.toy_algorithm import ToyAlgorithm, ToyPictures


def loop_features(model, dataset):
    """Picture by picture."""
    model = copy.deepcopy(model).eval()
    rows = []
    for i in range(len(dataset)):
        image = dataset[i]['inputs'][0][None].float() / 255
        row = model.backbone(image)[-1].detach().double().mean((0, 2, 3))
        rows.append((row / row.norm()).numpy())
    return np.stack(rows)


def test_features_and_labels_in_order():
    model, dataset = ToyAlgorithm(), ToyPictures((4, 5, 2))
    model(torch.rand(1, 9, 3, 8, 8))  # give batch norm some statistics
    loader = build_feature_loader(dataset, batch_size=4, num_workers=0)
    features, labels = features_and_labels(model, loader)
    assert features.dtype == torch.float32 and features.shape == (11, 6)
    assert labels.tolist() == [0] * 4 + [1] * 5 + [2] * 2
    assert np.abs(features.numpy() - loop_features(model, dataset)).max() < \
        1e-6
    assert not features.requires_grad


def test_modes_and_buffers_are_put_back():
    model = ToyAlgorithm()
    model.train()
    model.backbone.one[1].eval()  # somebody froze this one
    modes = [m.training for m in model.modules()]
    state = copy.deepcopy(model.state_dict())
    loader = build_feature_loader(ToyPictures(), num_workers=0)
    features_and_labels(model, loader)
    assert [m.training for m in model.modules()] == modes
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_modes_are_put_back_after_an_error():
    model = ToyAlgorithm().train()
    loader = build_feature_loader(ToyPictures(), num_workers=0)
    with pytest.raises(RuntimeError):
        model.backbone.two[0] = nn.Conv2d(5, 6, 3)  # does not fit
        features_and_labels(model, loader)
    assert all(m.training for m in model.modules())


def test_replaced_pictures_are_left_out():
    dataset = ToyPictures((3, 3), ('red', 'green'), broken=[1, 2])
    features, labels = features_and_labels(
        ToyAlgorithm(), build_feature_loader(dataset, num_workers=0))
    assert labels.tolist() == [0, 1, 1, 1]
    assert len(features) == 4


def test_pictures_known_to_be_broken_are_left_out():
    """Where the packed sample does not tell its path."""

    class Careful(ToyPictures):
        broken = ()  # here the set that the data set itself keeps

        def __getitem__(self, idx):
            item = super().__getitem__(idx)
            return dict(inputs=item['inputs'], data_samples=BaseDataElement())

    dataset = Careful((3, 3), ('red', 'green'))
    dataset.broken = {0, 4}
    _, labels = features_and_labels(
        ToyAlgorithm(), build_feature_loader(dataset, num_workers=0))
    assert labels.tolist() == [0, 0, 1, 1]


def test_loader_leaves_global_generator_alone():
    before = torch.get_rng_state()
    list(build_feature_loader(ToyPictures(), num_workers=2))
    assert torch.equal(torch.get_rng_state(), before)


def test_preserve_rng():
    import random
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = random.random(), np.random.rand(), torch.rand(1)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    with pytest.raises(KeyError):
        with preserve_rng():
            random.random(), np.random.rand(9), torch.rand(1)
            raise KeyError
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected


def test_choose_share():
    labels = np.array([0] * 100 + [3] * 11 + [1] * 2)
    share = choose_share(labels, 0.2, seed=0)
    counts = np.bincount(labels[share])
    assert counts.tolist() == [20, 1, 0, 2]  # at least one of each
    assert (np.diff(share) > 0).all()
    assert (share == choose_share(labels, 0.2, seed=0)).all()
    assert (share[:20] != choose_share(labels, 0.2, seed=1)[:20]).any()
    # a random share, not the first files
    assert share[:20].max() > 40
    assert (choose_share(labels, 1., seed=0) == np.arange(113)).all()


def test_labels_are_demanded():
    with pytest.raises(ValueError, match='a labelless data set with kNN on'):
        read_labels(ToyPictures(with_labels=False))
    with pytest.raises(ValueError, match='has no method get_data_info'):
        read_labels([1, 2], 'the list')
    with pytest.raises(ValueError, match='2 pictures need as many labels'):
        LabelledPictures(ToyPictures(), [0, 1], [0])


def test_classes_are_matched_by_name():
    train = ToyPictures((3, 3, 3))
    test = ToyPictures((2, 2), ('blue', 'green'))
    labels = read_labels(train), read_labels(test)
    translated = translate_labels(train, labels[0], test, labels[1])
    assert translated.tolist() == [2, 2, 1, 1]
    with pytest.raises(ValueError, match="1 class.*'red' first, do not occ"):
        translate_labels(test, labels[1], train, labels[0])


def test_pool_features():
    maps = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 2, 2)
    pooled = pool_features(maps)
    assert torch.allclose(pooled.norm(dim=1), torch.ones(2))
    expected = maps[1].mean((2, 3))
    assert torch.allclose(pooled, expected / expected.norm(dim=1)[:, None])
    assert torch.allclose(pool_features(expected), pooled)
    with pytest.raises(ValueError, match=r'got \(2, 3, 4\)'):
        pool_features([torch.zeros(2, 3, 4)])


def _gather(total, rows):
    import caco_ext.evaluation.features as features
    features.GATHER_ROWS = rows
    rank, world = get_dist_info()
    items = torch.arange(3 * total).view(total, 3)
    return torch.equal(gather_shards(items[rank::world]), items)


def _gather_cases():
    return [_gather(n, rows) for n in (0, 1, 2, 3, 10, 11) for rows in (1, 2)]


def _extract_in_group(state):
    """Ranks with batch norm statistics of their own; rank 0's count."""
    rank, _ = get_dist_info()
    model = ToyAlgorithm()
    model.load_state_dict(state)
    model.backbone.one[1].running_mean += rank
    own = model.backbone.one[1].running_mean.clone()
    wrapped = DistributedDataParallel(model, broadcast_buffers=False)
    model.backbone.one[1].running_mean.copy_(own)
    loader = build_feature_loader(
        ToyPictures((4, 5, 2)), batch_size=3, num_workers=rank)
    features, labels = features_and_labels(wrapped, loader)
    untouched = torch.equal(model.backbone.one[1].running_mean, own)
    alone, _ = features_and_labels(wrapped, loader, gather=False)
    return features.numpy(), labels.tolist(), untouched, len(alone)


@pytest.mark.slow
def test_ranks_give_what_one_process_gives():
    model = ToyAlgorithm()
    model(torch.rand(1, 9, 3, 8, 8))
    expected, labels = features_and_labels(
        model, build_feature_loader(ToyPictures((4, 5, 2)), num_workers=0))
    results = run_distributed(_extract_in_group, 2, model.state_dict())
    for rank, (features, got, untouched, own) in enumerate(results):
        assert got == labels.tolist()
        assert np.abs(features - expected.numpy()).max() < 1e-6
        assert untouched
        assert own == (6, 5)[rank]


@pytest.mark.slow
def test_gather_shards_of_any_length():
    for rank in run_distributed(_gather_cases, 3):
        assert rank == [True] * 12
