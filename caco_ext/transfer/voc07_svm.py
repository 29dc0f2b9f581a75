"""Linear SVMs on features of VOC2007, with all pictures and with few."""
import warnings
from typing import Any, Dict, Sequence, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import print_log

from .frozen import FrozenBackbone
from .voc07 import (CLASSES, average_precision, build_split, check_targets,
                    class_precisions, split_features)

FOLDS = 3


def fit_svm(features: np.ndarray, target: np.ndarray, cost: float,
            seed: int) -> Any:
    """Train the classifier of one class.

    Args:
        features (np.ndarray): Shape (N, C).
        target (np.ndarray): 1 or -1, shape (N, ); 0 is left out.
        cost (float): C of the SVM.
        seed (int): Seed of its solver.

    Returns:
        LinearSVC: With squared hinge loss and positives that count twice, as
        in the benchmark of Goyal et al. (2019), which the hosts follow.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC
    used = target != 0
    svm = LinearSVC(
        C=cost,
        class_weight={
            1: 2,
            -1: 1
        },
        loss='squared_hinge',
        dual=True,
        tol=1e-4,
        max_iter=2000,
        random_state=seed)
    with warnings.catch_warnings():
        # In this protocol large costs do not converge in 2000 rounds.
        warnings.simplefilter('ignore', ConvergenceWarning)
        return svm.fit(features[used], np.where(target[used] > 0, 1, -1))


def choose_cost(features: np.ndarray, target: np.ndarray,
                costs: Sequence[float], seed: int) -> float:
    """Choose the cost with the best average precision in cross-validation.

    Args:
        features (np.ndarray): Training features, shape (N, C).
        target (np.ndarray): 1, -1 or 0, shape (N, ).
        costs (Sequence[float]): Costs to choose from.
        seed (int): Seed of folds and solver.

    Returns:
        float: The best cost; the first of equally good ones.
    """
    from sklearn.model_selection import StratifiedKFold
    used = target != 0
    features, target = features[used], target[used]
    folds = list(
        StratifiedKFold(FOLDS, shuffle=True,
                        random_state=seed).split(features, target))
    means = []
    for cost in costs:
        scores = [
            average_precision(
                target[test],
                fit_svm(features[train], target[train], cost,
                        seed).decision_function(features[test]))
            for train, test in folds
        ]
        means.append(np.mean(scores))
    return costs[int(np.argmax(means))]


def sample_few(target: np.ndarray, k: int,
               rng: np.random.Generator) -> np.ndarray:
    """Draw k pictures with a class and 19 k without it.

    Args:
        target (np.ndarray): 1, -1 or 0, shape (N, ).
        k (int): Number of positives.
        rng (np.random.Generator): Draws the pictures.

    Returns:
        np.ndarray: ``target``, 0 where not drawn.
    """
    few = np.zeros_like(target)
    for label, count in ((1, k), (-1, (len(CLASSES) - 1) * k)):
        rows = np.flatnonzero(target == label)
        few[rng.choice(rows, count, replace=False)] = label
    return few


def check_few(targets: np.ndarray, shots: Sequence[int]) -> None:
    """Check that there are enough pictures for every low-shot split.

    Args:
        targets (np.ndarray): Training targets, shape (N, 20).
        shots (Sequence[int]): The values of k.

    Raises:
        ValueError: There are too few.
    """
    for k in shots:
        for name, column in zip(CLASSES, targets.T):
            for label, wanted in ((1, k), (-1, (len(CLASSES) - 1) * k)):
                found = int((column == label).sum())
                if found < wanted:
                    kind = 'with' if label > 0 else 'without'
                    raise ValueError(
                        f'shots: k={k} needs {wanted} pictures {kind} '
                        f'{name}, and training has {found}; leave it out')


def measure_svm(cfg: Config,
                model: FrozenBackbone) -> Tuple[Dict[str, float], dict]:
    """Train on trainval, test on test.

    The cost of each class is chosen by cross-validation on trainval. This
    also holds for the low-shot splits, where the hosts choose the best cost
    on the test set.

    Args:
        cfg (Config): See :func:`caco_ext.transfer.voc07.split_features`. Also
            has 'costs', 'shots' (may be empty), 'samples' and 'jobs'.
        model (FrozenBackbone): Extracts the features.

    Returns:
        tuple[dict[str, float], dict]: Results of
        :func:`caco_ext.transfer.voc07.class_precisions`, and 'mAP_k1' and
        so on, means over the samples; costs and standard deviations. Both
        are empty on ranks other than 0.

    Raises:
        ValueError: A class has too few pictures.
    """
    train, test = build_split(cfg, 'trainval'), build_split(cfg, 'test')
    train.full_init()
    test.full_init()
    check_targets(train.targets, f'{FOLDS} folds of trainval', FOLDS)
    check_targets(test.targets, 'test')
    check_few(train.targets, cfg.shots)
    features, targets = split_features(cfg, model, train)
    test_features, truth = split_features(cfg, model, test)
    if not is_main_process():
        return {}, {}
    from joblib import Parallel, delayed
    run = Parallel(n_jobs=cfg.jobs)
    costs = run(
        delayed(choose_cost)(features, column, list(cfg.costs), cfg.seed)
        for column in targets.T)
    print_log(f'costs {dict(zip(CLASSES, costs))}', 'current')

    def score(few: np.ndarray) -> np.ndarray:
        svms = run(
            delayed(fit_svm)(features, column, cost, cfg.seed)
            for column, cost in zip(few.T, costs))
        return np.stack([s.decision_function(test_features) for s in svms], 1)

    metrics = class_precisions(truth, score(targets))
    spread = {}
    for k in cfg.shots:
        maps = []
        for sample in range(cfg.samples):
            rng = np.random.default_rng([cfg.seed, k, sample])
            few = np.stack([sample_few(c, k, rng) for c in targets.T], 1)
            maps.append(class_precisions(truth, score(few))['mAP'])
        metrics[f'mAP_k{k}'] = float(np.mean(maps))
        spread[f'mAP_k{k}'] = float(np.std(maps))
    return metrics, dict(
        costs=dict(zip(CLASSES, costs)),
        spread=spread,
        pictures=dict(train=len(targets), test=len(truth)))
