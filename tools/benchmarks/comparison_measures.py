"""Measure a network for a comparison: kNN, linear probe, seconds."""
import sys
from typing import Dict, Sequence

import numpy as np
import torch
from comparison_runs import resolve
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from torch import nn

import caco_ext  # noqa: F401  registers the classes that configs name
from caco_ext.evaluation import (find_knn_options, knn_accuracy,
                                 linear_probe_accuracy)
from caco_ext.utils.checkpoints import read_checkpoint
from caco_ext.visualization import read_run
from caco_ext.visualization.run_features import RunFeatures

# Use all pictures of the training and of the test set.
ALL = (sys.maxsize, sys.maxsize)


def measure_features(cfg: Config,
                     features: RunFeatures,
                     probe: bool = True) -> Dict[str, float]:
    """Measure a frozen backbone on pictures without augmentation.

    Returns ``knn`` and ``probe``, top-1 accuracies in per cent, and
    ``probe_c``; without ``probe`` the first alone. kNN uses the options of
    the config's KNNHook.
    """
    train, test = features.train, features.test
    k = features.data.k
    first = k if isinstance(k, int) else k[0]
    options = find_knn_options(cfg) or {}
    voting = {n: v for n, v in options.items() if n == 'temperature'}
    knn = knn_accuracy(train.unit, torch.as_tensor(train.labels), test.unit,
                       torch.as_tensor(test.labels), first, **voting)['top1']
    if not probe:
        return dict(knn=knn)
    found = linear_probe_accuracy(train.pooled.numpy(), train.labels,
                                  test.pooled.numpy(), test.labels)
    return dict(knn=knn, probe=found.top1, probe_c=found.c)


def measure_untrained(config: str, options: Sequence[str], seed: int,
                      name: str) -> Dict[str, float]:
    """Measure what any training must surpass, as :func:`measure_features`.

    Args:
        config (str): Config of a method.
        options (Sequence[str]): Options KEY=VALUE for it.
        seed (int): Seed of the network's weights.
        name (str): 'random': the untrained network. 'pixels': the pictures
            themselves, of which there are too many values for a probe.
    """
    cfg = resolve(config, options)
    init_default_scope(cfg.default_scope)

    # Otherwise it would log the initialisation of every weight.
    MMLogger.get_current_instance().setLevel('WARNING')
    torch.manual_seed(seed)
    model = MODELS.build(cfg.model)
    model.init_weights()
    if name == 'pixels':
        model.backbone = nn.Sequential(nn.Flatten(),
                                       nn.Unflatten(1, (-1, 1, 1)))
    features = RunFeatures(cfg, None, model, most=ALL)
    return measure_features(cfg, features, probe=name == 'random')


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
