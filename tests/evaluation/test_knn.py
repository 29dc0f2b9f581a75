"""The nearest-neighbour classifier against loops and stored numbers."""
import json
import os.path as osp

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from caco_ext.evaluation import (knn, knn_accuracy, knn_predict, knn_scores,
                                 nearest, nearest_neighbours)

REFERENCE = osp.join(
    osp.dirname(__file__), '../data/reference/knn_world1_rank0.npz')


def make_problem(bank=211, query=37, width=9, classes=6, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(bank + query, width)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    labels = rng.integers(0, classes, bank + query)
    return [
        torch.from_numpy(a) for a in (features[:bank], labels[:bank],
                                      features[bank:], labels[bank:])
    ]


def loop_scores(bank, labels, query, k, temperature, classes):
    """One query and one neighbour at a time, in float64."""
    bank, query = bank.double().numpy(), query.double().numpy()
    result = np.zeros((len(query), classes))
    for n, feature in enumerate(query):
        cosines = [float(row @ feature) for row in bank]
        order = sorted(range(len(bank)), key=lambda j: -cosines[j])[:k]
        for j in order:
            result[n, labels[j]] += np.exp(
                (cosines[j] - cosines[order[0]]) / temperature)
    return result


def test_reference_predictions():
    stored = np.load(REFERENCE)
    classes = json.loads(str(stored['hyper']))['classes']
    bank, labels, query = (
        torch.from_numpy(stored[n]) for n in ('bank', 'labels', 'query'))
    cases = [name for name in stored if name.startswith('pred_')]
    assert len(cases) == 3
    for name in cases:
        k, temperature = name[len('pred_k'):].split('_t')
        order = knn_predict(bank, labels, query, int(k), float(temperature),
                            classes)
        assert (order.numpy() == stored[name]).all(), name
        # the order follows from scores that agree with a plain computation
        expected = loop_scores(bank, labels, query, int(k), float(temperature),
                               classes)
        scores = knn_scores(bank, labels, query, int(k), float(temperature),
                            classes)
        assert np.abs(scores.numpy() - expected).max() < 1e-5


@pytest.mark.parametrize('k', [1, 7, 211])
@pytest.mark.parametrize('temperature', [1e-3, 0.07, 5.])
@pytest.mark.parametrize('limit', [2**27, 3600, 300])
def test_scores_equal_loops(monkeypatch, k, temperature, limit):
    """Also in blocks of 50 and of 4 bank rows, and of nine queries."""
    monkeypatch.setattr(nearest, 'CPU_BYTES', limit)
    bank, labels, query, _ = make_problem()
    scores = knn_scores(bank, labels, query, k, temperature, 8)
    expected = loop_scores(bank, labels, query, k, temperature, 8)
    assert scores.shape == (37, 8)
    # cosines in float32 have errors of 1e-7, which the temperature divides
    tolerance = 1e-5 + 1e-6 / temperature
    assert np.abs(scores.numpy() - expected).max() < tolerance
    assert torch.isfinite(scores).all()


def test_accuracy_equals_counting():
    bank, labels, query, truth = make_problem(classes=11)
    expected = loop_scores(bank, labels, query, 20, 0.2, 11)
    order = np.argsort(-expected, axis=1, kind='stable')
    hits = order == truth.numpy()[:, None]
    result = knn_accuracy(bank, labels, query, truth, 20, 0.2, 11)
    assert set(result) == {'top1', 'top5'}
    assert result['top1'] == pytest.approx(100 * hits[:, 0].mean())
    assert result['top5'] == pytest.approx(100 * hits[:, :5].sum(1).mean())
    assert 0 < result['top1'] < result['top5'] < 100


def test_several_k_at_once_equal_one_by_one():
    bank, labels, query, truth = make_problem()
    result = knn_accuracy(bank, labels, query, truth, [1, 50, 5])
    assert set(result) == {f'top{n}_k{k}' for n in (1, 5) for k in (1, 50, 5)}
    for k in (1, 50, 5):
        alone = knn_accuracy(bank, labels, query, truth, k)
        assert result[f'top1_k{k}'] == alone['top1']
        assert result[f'top5_k{k}'] == alone['top5']


def test_own_features_are_their_nearest():
    bank, labels, _, _ = make_problem()
    cosines, indices = nearest_neighbours(bank, bank, 1)
    assert (indices[:, 0] == torch.arange(len(bank))).all()
    assert torch.allclose(cosines, torch.ones_like(cosines))
    assert knn_accuracy(bank, labels, bank, labels, 1)['top1'] == 100


@pytest.mark.parametrize('classes, names', [(3, {'top1'}), (5, {'top1'}),
                                            (6, {'top1', 'top5'})])
def test_top5_of_five_classes_or_fewer_is_left_out(classes, names):
    bank, labels, query, truth = make_problem(classes=classes)
    assert set(knn_accuracy(bank, labels, query, truth)) == names


@pytest.mark.parametrize('k', [1, 2, 3, 20])
def test_a_class_without_a_neighbour_is_no_answer(k):
    """The right class is among the first five of those that neighbours have:
    counted one query at a time."""
    bank, labels, query, truth = make_problem(bank=40, query=200, classes=12)
    right = dict(top1=0, top5=0)
    for feature, label in zip(query.double().numpy(), truth.tolist()):
        cosines = bank.double().numpy() @ feature
        scores = {}
        for j in np.argsort(-cosines)[:k]:
            weight = np.exp((cosines[j] - cosines.max()) / 0.2)
            scores[labels[j].item()] = scores.get(labels[j].item(), 0) + weight
        first = sorted(scores, key=scores.get, reverse=True)
        right['top1'] += label == first[0]
        right['top5'] += label in first[:5]
    assert right['top5'] < 200
    result = knn_accuracy(bank, labels, query, truth, k)
    assert result == {name: n / 2 for name, n in right.items()}
    if k == 1:
        assert result['top5'] == result['top1']


@pytest.mark.parametrize('options, message', [
    (dict(k=212), 'k=212 neighbours, but the bank holds only 211'),
    (dict(k=0), 'k=0: the number'),
    (dict(k=True), 'k=True: the number'),
    (dict(k=2.5), 'k=2.5: the number'),
    (dict(temperature=0), 'temperature=0 must'),
    (dict(temperature=float('nan')), 'temperature=nan must'),
    (dict(num_classes=3), r'labels must lie in \[0, 3\), got 0 to 5'),
])
def test_bad_options(options, message):
    bank, labels, query, _ = make_problem()
    with pytest.raises(ValueError, match=message):
        knn_scores(bank, labels, query, **options)


def test_bad_shapes():
    bank, labels, query, truth = make_problem()
    with pytest.raises(ValueError, match=r'\(211, 9\) and \(37, 8\)'):
        knn_scores(bank, labels, query[:, 1:])
    with pytest.raises(ValueError, match=r'labels of shape \(211,\)'):
        knn_scores(bank, labels[1:], query)
    with pytest.raises(ValueError, match='test set is empty'):
        knn_accuracy(bank, labels, query[:0], truth[:0])
    with pytest.raises(ValueError, match='name every number'):
        knn_accuracy(bank, labels, query, truth, [5, 5])


class Copies(TorchDispatchMode):
    """Count bytes copied to a GPU, and the largest tensor made there."""

    def __init__(self):
        super().__init__()
        self.sent = self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for one in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(one, torch.Tensor) and one.device.type == 'cuda':
                self.largest = max(self.largest, one.nbytes)
                if func is torch.ops.aten._to_copy.default \
                        and args[0].device.type == 'cpu':
                    self.sent += one.nbytes
        return out


@pytest.mark.parametrize('free, cached', [(2**30, 0), (2**20, 2**30 - 2**20),
                                          (2**40, 0)])
def test_each_bank_row_is_copied_to_a_gpu_once(monkeypatch, free, cached):
    """Of 200,000 x 512 for 10,000 queries; blocks of an eighth of the memory
    that is free or cached, but of 2 GiB at most."""
    monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda _: (free, 2**40))
    monkeypatch.setattr(torch.cuda, 'memory_reserved', lambda _: 5 + cached)
    monkeypatch.setattr(torch.cuda, 'memory_allocated', lambda _: 5)
    with FakeTensorMode():
        bank = torch.empty(200000, 512)
        query = torch.empty(10000, 512, device='cuda')
        with Copies() as copies:
            cosines, indices = nearest_neighbours(bank, query, 20)
    assert cosines.shape == indices.shape == (10000, 20)
    assert copies.sent == bank.nbytes
    most = min((free + cached) // 8, 2**31)
    assert 0.9 * most < copies.largest <= most


def test_votes_take_no_memory_for_labels_that_do_not_occur(monkeypatch):
    """Labels near 10^12, in blocks of three queries."""
    monkeypatch.setattr(nearest, 'CPU_BYTES', 6 * 3 * knn.BYTES_OF_A_VOTE)
    voted = []

    def watched(cosines, labels, temperature, num_classes, vote=knn.vote):
        voted.append((len(cosines), num_classes))
        return vote(cosines, labels, temperature, num_classes)

    bank, labels, query, truth = make_problem()
    expected = knn_accuracy(bank, labels, query, truth)
    monkeypatch.setattr(knn, 'vote', watched)
    far = 10**12 - 7 * labels
    found = knn_accuracy(bank, far, query, 10**12 - 7 * truth)
    assert found == expected and found['top1'] < found['top5'] < 100
    assert voted == [(3, 6)] * 12 + [(1, 6)]
    # A test label that no bank row has is never right.
    assert knn_accuracy(bank, far, query, truth)['top5'] == 0


@pytest.mark.parametrize('queries', [0, 1])
def test_a_rank_with_few_queries(queries):
    bank, labels, query, truth = make_problem()
    counts = knn.knn_correct(bank, labels, bank[:queries], labels[:queries],
                             [1, 3])
    assert counts.tolist() == [[queries] * 2] * 2
