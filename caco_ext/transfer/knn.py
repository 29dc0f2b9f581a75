"""Nearest neighbours on frozen features."""
from typing import Dict, Tuple

from mmengine.config import Config
from mmengine.dist import all_reduce, get_dist_info
from torch import Tensor
from torch.nn import functional as F

from caco_ext.evaluation import (check_knn_options, choose_share, knn_correct,
                                 name_accuracies, read_labels,
                                 translate_labels)
from .frozen import FrozenBackbone, build_dataset, features_of


def labelled_features(cfg: Config, model: FrozenBackbone,
                      least: int) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features of the training and the test set of a tool's config.

    Args:
        cfg (Config): Has 'train_dataset' and 'test_dataset', and optionally
            'train_share', 'cache', 'batch_size' and 'num_workers'.
        model (FrozenBackbone): Extracts the features.
        least (int): Minimum number of pictures in the training share.

    Returns:
        tuple[Tensor, Tensor, Tensor, Tensor]: Features (N, C), not
        normalised, and labels (N, ) of each set, in the same numbering.

    Raises:
        ValueError: There are too few pictures, or training lacks a test
            class.
    """
    train = build_dataset(cfg, 'train_dataset')
    test = build_dataset(cfg, 'test_dataset')
    labels = read_labels(train, 'train_dataset')
    truth = translate_labels(train, labels, test,
                             read_labels(test, 'test_dataset'))
    share = choose_share(labels, cfg.get('train_share', 1.), cfg.seed)
    if len(share) < least:
        raise ValueError(
            f'{least} pictures are asked for (k={least}) and train_dataset '
            f'has {len(share)}; lower k')
    options = dict(
        cache=cfg.get('cache'),
        batch_size=cfg.get('batch_size', 64),
        num_workers=cfg.get('num_workers', 2))
    bank, known = features_of(model, train, cfg.train_dataset, share,
                              labels[share], **options)
    query, answers = features_of(model, test, cfg.test_dataset, None, truth,
                                 **options)
    return bank, known, query, answers


def measure_knn(cfg: Config,
                model: FrozenBackbone) -> Tuple[Dict[str, float], dict]:
    """Exact accuracy of weighted nearest neighbours, by all processes.

    Args:
        cfg (Config): See :func:`labelled_features`. Also has 'k', one number
            or more, and 'temperature'.
        model (FrozenBackbone): Extracts the features.

    Returns:
        tuple[dict[str, float], dict]: Accuracies in per cent, named like
        'top1_k20', and the sizes of both sets.

    Raises:
        ValueError: As :func:`labelled_features`, or an option is wrong.
    """
    ks = check_knn_options(
        tuple(cfg.k) if isinstance(cfg.k, (list, tuple)) else cfg.k,
        cfg.temperature)
    bank, labels, query, truth = labelled_features(cfg, model, max(ks))
    rank, world = get_dist_info()
    device = next(model.parameters()).device
    own = F.normalize(query[rank::world], dim=1).to(device)
    counts = knn_correct(
        F.normalize(bank, dim=1), labels, own, truth[rank::world], ks,
        cfg.temperature).cpu()
    all_reduce(counts)
    results = name_accuracies(counts, len(query), ks, len(labels.unique()))
    return results, dict(pictures=dict(train=len(bank), test=len(query)))
