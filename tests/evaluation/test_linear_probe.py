"""Linear probe: numbers against scikit-learn called plainly."""
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from caco_ext.evaluation.linear_probe import (C_GRID, HELD_OUT, MAX_ITER,
                                              PATIENCE, choose_c,
                                              linear_probe_accuracy)
from caco_ext.utils.extras import MissingExtraError


def make(counts=(40, 40, 40), noise=2., seed=0):
    """Features and labels of two sets with the same classes."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    # Correlated, and their deviations differ by a factor of a thousand.
    mix = rng.normal(size=(20, 20)) * np.logspace(-1, 2, 20)
    centres = rng.normal(size=(len(counts), 20))[labels]
    first, second = ((centres + noise * rng.normal(size=centres.shape)) @ mix +
                     5 for _ in range(2))
    return first, labels, second, labels


def plain(x, labels, y, truth, c):
    """Predictions for y, and their accuracy."""
    mean, std = x.mean(0), x.std(0)
    model = LogisticRegression(C=c, max_iter=MAX_ITER)
    model.fit((x - mean) / std, labels)
    found = model.predict((y - mean) / std)
    return found, (found == truth).mean()


@pytest.mark.parametrize('given', [True, False])
def test_numbers_are_those_of_scikit_learn(given):
    x, labels, y, truth = make()
    # Without `validation` the share is random but has a fifth of each class.
    validation = np.arange(0, len(x), 4) if given else None
    result = linear_probe_accuracy(x, labels, y, truth, validation)
    if given:
        held = np.isin(np.arange(len(x)), validation)
        scores = [
            plain(x[~held], labels[~held], x[held], labels[held], c)[1]
            for c in C_GRID
        ]
        assert len(set(scores)) > 3
        assert result.c == C_GRID[int(np.argmax(scores))]
    found, accuracy = plain(x, labels, y, truth, result.c)
    assert result.top1 == pytest.approx(100 * accuracy)
    assert 40 < result.top1 < 100
    assert result == linear_probe_accuracy(x, labels, y, truth, validation)


def test_mean_of_classes_counts_rare_ones_the_same():
    x, labels, y, truth = make((200, 20, 10))
    result = linear_probe_accuracy(x, labels, y, truth)
    found, _ = plain(x, labels, y, truth, result.c)
    shares = [(found[truth == k] == k).mean() for k in range(3)]
    assert result.mean_class == pytest.approx(100 * sum(shares) / 3)
    assert result.mean_class < result.top1 - 5


def test_a_test_class_that_training_lacks_counts_as_wrong():
    x, labels, y, truth = make(noise=0.1)
    few = labels < 2
    result = linear_probe_accuracy(x[few], labels[few], y, truth)
    assert result.top1 == pytest.approx(200 / 3)
    assert result.mean_class == pytest.approx(200 / 3)


def test_the_held_out_part_has_a_fifth_of_each_class(monkeypatch):
    parts = []

    def choose(x, labels, held_x, held):
        parts.append((labels, held))
        return 1.

    monkeypatch.setattr('caco_ext.evaluation.linear_probe.choose_c', choose)
    x, labels, y, truth = make((50, 10, 1))
    assert linear_probe_accuracy(x, labels, y, truth).c == 1.
    (kept, held), = parts
    assert HELD_OUT == 0.2
    assert np.bincount(held, minlength=3).tolist() == [10, 2, 0]
    assert np.bincount(kept).tolist() == [40, 8, 1]


def test_the_edge_of_the_values_is_told():
    x, labels, y, truth = make(noise=0.01)  # any penalty is right
    result = linear_probe_accuracy(x, labels, y, truth)
    assert result.c == C_GRID[0] and result.at_edge
    assert result.text == 'C=1e-06, at the edge of the values tried'
    result = linear_probe_accuracy(*make(), np.arange(0, 120, 4))
    assert not result.at_edge and 'edge' not in result.text


def test_the_search_ends_after_three_worse_values(monkeypatch):
    asked = []

    class Model:

        def set_params(self, logisticregression__C):
            asked.append(logisticregression__C)

        def fit(self, x, labels):
            pass

        def score(self, x, labels):
            return {4: 0.8, 6: 0.9}.get(len(asked), 0.5)

    monkeypatch.setattr('caco_ext.evaluation.linear_probe._classifier',
                        lambda **_: Model())
    assert choose_c(*[np.zeros(1)] * 4) == C_GRID[5]
    assert tuple(asked) == C_GRID[:6 + PATIENCE]


def test_too_few_pictures():
    x, labels, y, truth = make((20, 1, 1))
    with pytest.raises(ValueError, match='two classes with two pictures'):
        linear_probe_accuracy(x, labels, y, truth)


def test_scikit_learn_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'sklearn', None)
    with pytest.raises(MissingExtraError, match=r'caco_ext\[data\]'):
        linear_probe_accuracy(*make())
