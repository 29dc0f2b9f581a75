"""What a comparison measures of a network: neighbours, probe, seconds."""
import os
import os.path as osp

import numpy as np
import torch
from comparison_runs import resolve
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import caco_ext  # noqa: F401  registers the classes that configs name
from caco_ext.evaluation import (build_feature_loader, extract_features,
                                 knn_accuracy)
from caco_ext.visualization import read_run
from caco_ext.visualization.loading import build_knn_hook, load_model

# Of the linear probe: inverse strength of the penalty on its weights.
C_GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.)
FOLDS = 5


def linear_probe(features, labels, test_features, test_labels):
    """Classify frozen features linearly.

    Every feature is standardised by its training mean and deviation. The C of
    the logistic regression is the one of ``C_GRID`` with the best accuracy in
    a stratified cross-validation of the training features; the strongest
    penalty of those that are equal.

    Args:
        features (np.ndarray): Training features of shape (M, C).
        labels (np.ndarray): Their labels, shape (M, ).
        test_features (np.ndarray): Test features of shape (Q, C).
        test_labels (np.ndarray): Their labels, shape (Q, ).

    Returns:
        tuple[float, float]: Accuracy in per cent, and C.
    """
    folds = min(FOLDS, np.bincount(labels)[np.unique(labels)].min())
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        dict(logisticregression__C=C_GRID),
        cv=StratifiedKFold(folds, shuffle=True, random_state=0))
    search.fit(features, labels)
    accuracy = 100 * search.score(test_features, test_labels)
    return float(accuracy), search.best_params_['logisticregression__C']


def read_features(cfg, make_model, folder):
    """Extract the features of a frozen backbone, once.

    Args:
        cfg (Config): Its KNNHook names the pictures, which are not augmented.
        make_model (Callable): Makes the model if it is needed.
        folder (str): Keeps them in ``features.npz``.

    Returns:
        dict[str, np.ndarray]: ``train`` (M, C) and ``test`` (Q, C) of unit
        length, ``train_labels`` (M, ) and ``test_labels`` (Q, ).
    """
    path = osp.join(folder, 'features.npz')
    if not osp.isfile(path):
        hook = build_knn_hook(cfg)
        model = make_model()
        arrays = {}
        for name, pictures in zip(('train', 'test'), hook.build_datasets()):
            loader = build_feature_loader(*pictures, hook.batch_size,
                                          hook.num_workers)
            features, labels = extract_features(model, loader)
            arrays[name] = features.numpy()
            arrays[f'{name}_labels'] = labels.numpy()
        with open(f'{path}.part', 'wb') as file:
            np.savez(file, **arrays)
        os.replace(f'{path}.part', path)
    with np.load(path) as arrays:
        return dict(arrays)


def measure_features(cfg, make_model, folder):
    """Measure a frozen backbone.

    Args:
        cfg, make_model, folder: As for :func:`read_features`.

    Returns:
        dict: ``knn`` and ``probe``, top-1 accuracies in per cent, and
        ``probe_c``.
    """
    arrays = read_features(cfg, make_model, folder)
    hook = build_knn_hook(cfg)
    tensors = {name: torch.from_numpy(a) for name, a in arrays.items()}
    first = hook.k[0] if isinstance(hook.k, (list, tuple)) else hook.k
    knn = knn_accuracy(tensors['train'], tensors['train_labels'],
                       tensors['test'], tensors['test_labels'], first,
                       hook.temperature)['top1']
    probe, chosen = linear_probe(arrays['train'], arrays['train_labels'],
                                 arrays['test'], arrays['test_labels'])
    return dict(knn=knn, probe=probe, probe_c=chosen)


def measure_random(config, options, seed, folder):
    """Measure an untrained network.

    Args:
        config (str): Path of its config.
        options (Sequence[str]): KEY=VALUE.
        seed (int): Of its weights.
        folder (str): Where its features are kept.

    Returns:
        dict: As :func:`measure_features`.
    """
    cfg = resolve(config, options)
    init_default_scope(cfg.default_scope)

    def make_model():
        # Or it would tell of every weight how it was made.
        MMLogger.get_current_instance().setLevel('WARNING')
        torch.manual_seed(seed)
        model = MODELS.build(cfg.model)
        model.init_weights()
        return model

    return measure_features(cfg, make_model, folder)


def measure_run(folder):
    """Measure a finished run.

    Args:
        folder (str): Its work dir.

    Returns:
        dict: As :func:`measure_features`, and ``seconds_per_epoch``, the
        median over the epochs of what their iterations took, loading included
        and kNN, checkpoints and the filling of a bank not; on a GPU also
        ``gpu_memory_mb``, the peak.

    Raises:
        ValueError: The last checkpoint is not of the last epoch.
    """
    log = read_run(folder)
    cfg = Config.fromfile(log.config)
    init_default_scope(cfg.default_scope)
    content = torch.load(log.checkpoint, map_location='cpu', weights_only=True)
    epochs = content['meta']['epoch']
    if epochs != cfg.train_cfg.max_epochs:
        raise ValueError(f'{log.checkpoint} has {epochs} epochs of '
                         f'{cfg.train_cfg.max_epochs}')
    scalars = content['message_hub']['log_scalars']
    seconds = scalars['train/time'].data[0].reshape(epochs, -1).sum(1)
    result = measure_features(cfg, lambda: load_model(cfg, log.checkpoint),
                              folder)
    result['seconds_per_epoch'] = float(np.median(seconds))
    if 'train/memory' in scalars:
        result['gpu_memory_mb'] = float(scalars['train/memory'].data[0].max())
    return result
