"""Measure a network for a comparison: kNN, linear probe, seconds."""
import sys
from typing import Dict, Sequence

import numpy as np
import torch
from comparison_runs import resolve
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope

import caco_ext  # noqa: F401  registers the classes that configs name
from caco_ext.evaluation import find_knn_options, knn_accuracy
from caco_ext.utils.checkpoints import read_checkpoint
from caco_ext.utils.extras import import_extra
from caco_ext.visualization import read_run
from caco_ext.visualization.run_features import RunFeatures

# Values of C for the linear probe: inverse strength of its penalty.
C_GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.)
FOLDS = 5
# Use all pictures of the training and of the test set.
ALL = (sys.maxsize, sys.maxsize)


def linear_probe(features, labels, test_features, test_labels):
    """Classify frozen features linearly.

    Every feature is standardised by its training mean and deviation. The C of
    the logistic regression is the value of ``C_GRID`` with the best accuracy
    in a stratified cross-validation on the training features. Among equal
    ones, the strongest penalty is used.

    Args:
        features (np.ndarray): Training features of shape (M, C).
        labels (np.ndarray): Their labels, shape (M, ).
        test_features (np.ndarray): Test features of shape (Q, C).
        test_labels (np.ndarray): Their labels, shape (Q, ).

    Returns:
        tuple[float, float]: Accuracy in per cent, and C.
    """
    import_extra('sklearn', 'data', 'A linear probe')
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    folds = min(FOLDS, np.bincount(labels)[np.unique(labels)].min())
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        dict(logisticregression__C=C_GRID),
        cv=StratifiedKFold(folds, shuffle=True, random_state=0))
    search.fit(features, labels)
    accuracy = 100 * search.score(test_features, test_labels)
    return float(accuracy), search.best_params_['logisticregression__C']


def measure_features(cfg: Config, features: RunFeatures) -> Dict[str, float]:
    """Measure a frozen backbone on pictures without augmentation.

    Returns ``knn`` and ``probe``, top-1 accuracies in per cent, and
    ``probe_c``. kNN uses the options of the config's KNNHook.
    """
    train, test = features.train, features.test
    k = features.data.k
    first = k if isinstance(k, int) else k[0]
    options = find_knn_options(cfg) or {}
    voting = {n: v for n, v in options.items() if n == 'temperature'}
    knn = knn_accuracy(train.unit, torch.as_tensor(train.labels), test.unit,
                       torch.as_tensor(test.labels), first, **voting)['top1']
    probe, chosen = linear_probe(train.unit.numpy(), train.labels,
                                 test.unit.numpy(), test.labels)
    return dict(knn=knn, probe=probe, probe_c=chosen)


def measure_random(config: str, options: Sequence[str],
                   seed: int) -> Dict[str, float]:
    """Measure an untrained network, as :func:`measure_features`."""
    cfg = resolve(config, options)
    init_default_scope(cfg.default_scope)

    # Otherwise it would log the initialisation of every weight.
    MMLogger.get_current_instance().setLevel('WARNING')
    torch.manual_seed(seed)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return measure_features(cfg, RunFeatures(cfg, None, model, most=ALL))


def measure_run(folder: str) -> Dict[str, float]:
    """Measure a finished run, as :func:`measure_features`.

    ``seconds_per_epoch`` is the median over epochs of the time of their
    iterations. It includes loading, but not kNN, checkpoints and the fill of
    a bank. On a GPU there is also ``gpu_memory_mb``, the peak. A ValueError
    says that the last checkpoint is not of the last epoch.
    """
    log = read_run(folder)
    cfg = Config.fromfile(log.config)
    init_default_scope(cfg.default_scope)
    content = read_checkpoint(log.checkpoint)
    epochs = content['meta']['epoch']
    if epochs != cfg.train_cfg.max_epochs:
        raise ValueError(f'{log.checkpoint} has {epochs} epochs of '
                         f'{cfg.train_cfg.max_epochs}')
    scalars = content['message_hub']['log_scalars']
    seconds = scalars['train/time'].data[0].reshape(epochs, -1).sum(1)
    result = measure_features(cfg, RunFeatures(cfg, log.checkpoint, most=ALL))
    result['seconds_per_epoch'] = float(np.median(seconds))
    if 'train/memory' in scalars:
        result['gpu_memory_mb'] = float(scalars['train/memory'].data[0].max())
    return result
