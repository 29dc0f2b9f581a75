"""Linear classification of frozen features."""
import logging
import warnings
from dataclasses import dataclass
from typing import Any, List, Optional

import numpy as np
from mmengine.logging import print_log

from caco_ext.datasets.splits import share_of_classes
from caco_ext.utils.extras import import_extra

# Values of C, the inverse strength of the penalty, two in each decade.
C_GRID = tuple(float(f'{c:.3g}') for c in np.logspace(-6, 2, 17))
# Share of each class that is held out to choose C, and the seed of the choice.
HELD_OUT, HELD_OUT_SEED = 0.2, 0
# The search ends when so many values of C in a row were worse than the best.
# The largest ones take the most iterations.
PATIENCE = 3
MAX_ITER = 1000


@dataclass
class ProbeResult:
    """What a linear probe measured.

    Attributes:
        top1 (float): Accuracy on the test pictures, in per cent.
        mean_class (float): Mean of the accuracies of the classes, in per
            cent. Every class of the test set counts the same.
        c (float): Chosen inverse strength of the penalty.
        at_edge (bool): Whether that is the first or the last of ``C_GRID``.
            Then a value outside might be better.
    """
    top1: float
    mean_class: float
    c: float
    at_edge: bool

    @property
    def text(self) -> str:
        """str: The chosen C, and a note if it is at the edge."""
        note = ', at the edge of the values tried' if self.at_edge else ''
        return f'C={self.c:g}{note}'


def check_probe(labels: np.ndarray, name: str) -> None:
    """Check that a linear probe can be trained, before the work.

    Args:
        labels (np.ndarray): Training labels, shape (N, ).
        name (str): Name of the training pictures in errors.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        ValueError: There are fewer than two classes with two pictures.
    """
    import_extra('sklearn', 'data', 'A linear probe')
    if (np.unique(labels, return_counts=True)[1] > 1).sum() < 2:
        raise ValueError(
            f'a linear probe needs two classes with two pictures each to '
            f'choose its penalty, and {name} has fewer; give more pictures')


def linear_probe_accuracy(
        features: np.ndarray,
        labels: np.ndarray,
        test_features: np.ndarray,
        test_labels: np.ndarray,
        validation: Optional[np.ndarray] = None) -> ProbeResult:
    """Classify frozen features by L2-regularised logistic regression.

    As Kornblith et al., *Do better ImageNet models transfer better?* (2019),
    and appendix B.8 of SimCLR: a multinomial logistic regression is trained
    by L-BFGS. The C of its penalty is the value of ``C_GRID`` with the best
    top-1 accuracy on held-out training pictures; among equal ones the
    strongest penalty. Then it is trained again on all training pictures.
    Unlike there, every feature is standardised by its training mean and
    deviation, so that C means the same for every network.

    Args:
        features (np.ndarray): Training features, (N, C).
        labels (np.ndarray): Their labels, (N, ).
        test_features (np.ndarray): Test features, (Q, C).
        test_labels (np.ndarray): Their labels, (Q, ).
        validation (np.ndarray, optional): Rows of ``features`` to choose C
            on. Defaults to None: a fixed random fifth of each class.

    Returns:
        ProbeResult: Accuracies on the test pictures and C.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        ValueError: As :func:`check_probe`.
    """
    check_probe(labels, 'the training set')
    if validation is None:
        held = share_of_classes(
            labels, HELD_OUT, HELD_OUT_SEED, spare_one=True)
    else:
        held = np.zeros(len(labels), bool)
        held[validation] = True
    c = choose_c(features[~held], labels[~held], features[held], labels[held])
    model = _classifier()
    model.set_params(logisticregression__C=c)
    _fit(model, features, labels)
    if model[-1].n_iter_.max() >= MAX_ITER:
        print_log(
            f'the linear probe has not converged in {MAX_ITER} iterations '
            f'with C={c:g}', 'current', logging.WARNING)
    correct = model.predict(test_features) == test_labels
    classes = [
        correct[test_labels == k].mean() for k in np.unique(test_labels)
    ]
    return ProbeResult(100 * float(correct.mean()),
                       100 * float(np.mean(classes)), c, c
                       in (C_GRID[0], C_GRID[-1]))


def choose_c(features: np.ndarray, labels: np.ndarray,
             held_features: np.ndarray, held_labels: np.ndarray) -> float:
    """Choose the penalty of a linear probe on held-out pictures.

    The penalty falls from value to value, and each training begins with the
    weights of the one before.

    Args:
        features (np.ndarray): Features to train on, (N, C).
        labels (np.ndarray): Their labels, (N, ).
        held_features (np.ndarray): Features to choose on, (M, C).
        held_labels (np.ndarray): Their labels, (M, ).

    Returns:
        float: The best of ``C_GRID``; the first of equally good ones.
    """
    model = _classifier(warm_start=True)
    scores: List[float] = []
    for c in C_GRID:
        model.set_params(logisticregression__C=c)
        _fit(model, features, labels)
        scores.append(model.score(held_features, held_labels))
        if len(scores) > PATIENCE and max(scores[-PATIENCE:]) < max(scores):
            break
    return C_GRID[int(np.argmax(scores))]


def _classifier(warm_start: bool = False) -> Any:
    """Standardisation and logistic regression of scikit-learn."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    return make_pipeline(
        StandardScaler(),
        LogisticRegression(max_iter=MAX_ITER, warm_start=warm_start))


def _fit(model: Any, features: np.ndarray, labels: np.ndarray) -> None:
    """Train; how far from the end it is, its iterations tell."""
    from sklearn.exceptions import ConvergenceWarning
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', ConvergenceWarning)
        model.fit(features, labels)
