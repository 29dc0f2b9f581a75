"""Weighted nearest-neighbour classification of frozen features."""
from typing import Dict, Optional, Sequence, Union

import torch
from torch import Tensor

from .nearest import block_bytes, check_knn_options, nearest_neighbours

# Scores in float64, and their order: sorted values and int64 indices.
BYTES_OF_A_VOTE = 24


def vote(cosines: Tensor, neighbour_labels: Tensor, temperature: float,
         num_classes: int) -> Tensor:
    r"""Turn neighbours into class scores.

    .. math::
        s_c = \sum_{j: y_j = c} \exp\big((\cos_j - \max_i \cos_i) / T\big)

    Subtracting the maximum scales all scores of a query alike. Their order is
    that of :math:`\exp(\cos_j / T)`, but no temperature overflows.

    Args:
        cosines (Tensor): Similarities of the neighbours, shape (Q, k).
        neighbour_labels (Tensor): Their labels, shape (Q, k).
        temperature (float): Temperature T.
        num_classes (int): Number of classes.

    Returns:
        Tensor: float64 scores of shape (Q, num_classes). The nearest
        neighbour has the weight 1.
    """
    # float64: at T = 0.01 the weights of one query span e^200
    cosines = cosines.double()
    weights = ((cosines - cosines.amax(1, keepdim=True)) / temperature).exp()
    scores = weights.new_zeros(cosines.size(0), num_classes)
    return scores.scatter_add_(1, neighbour_labels, weights)


def knn_scores(bank: Tensor,
               labels: Tensor,
               query: Tensor,
               k: int = 20,
               temperature: float = 0.2,
               num_classes: Optional[int] = None) -> Tensor:
    """Score every class for every query by its weighted neighbours.

    Args:
        bank (Tensor): Training features, unit length, shape (M, C).
        labels (Tensor): Training labels, shape (M, ).
        query (Tensor): Test features, unit length, shape (Q, C).
        k (int): Number of neighbours. Defaults to 20, as in CaCo's monitor.
        temperature (float): Temperature of the weights. Defaults to 0.2, as
            in CaCo's monitor; MMSelfSup uses 0.07.
        num_classes (int, optional): Number of classes. Defaults to the
            largest label plus one.

    Returns:
        Tensor: Scores of shape (Q, num_classes), see :func:`vote`.

    Raises:
        ValueError: ``k`` exceeds the bank, the temperature is not positive,
            or shapes or labels do not fit.
    """
    check_knn_options(k, temperature)
    num_classes = _check_labels(labels, bank.size(0), num_classes)
    cosines, indices = nearest_neighbours(bank, query, k)
    labels = labels.to(indices.device)
    return vote(cosines, labels[indices], temperature, num_classes)


def _check_labels(labels: Tensor, size: int,
                  num_classes: Optional[int]) -> int:
    if labels.shape != (size, ):
        raise ValueError(f'{size} features need labels of shape ({size},), '
                         f'got {tuple(labels.shape)}')
    least, most = (int(labels.min()), int(labels.max())) if size else (0, 0)
    if num_classes is None:
        num_classes = most + 1
    if least < 0 or most >= num_classes:
        raise ValueError(f'labels must lie in [0, {num_classes}), got '
                         f'{least} to {most}')
    return num_classes


def rank_classes(scores: Tensor) -> Tensor:
    """Order the classes by score, best first.

    Args:
        scores (Tensor): Class scores of shape (Q, classes).

    Returns:
        Tensor: Classes of shape (Q, classes). Equal scores (all classes
        without a neighbour have 0) keep the order of the class numbers, so
        the answer is the same on every device.
    """
    return scores.sort(dim=1, descending=True, stable=True).indices


def knn_predict(bank: Tensor,
                labels: Tensor,
                query: Tensor,
                k: int = 20,
                temperature: float = 0.2,
                num_classes: Optional[int] = None) -> Tensor:
    """Predict the order of the classes, best first.

    Arguments and errors are those of :func:`knn_scores`.

    Returns:
        Tensor: Classes of shape (Q, num_classes).
    """
    return rank_classes(
        knn_scores(bank, labels, query, k, temperature, num_classes))


def knn_correct(bank: Tensor,
                labels: Tensor,
                query: Tensor,
                query_labels: Tensor,
                k: Union[int, Sequence[int]] = 20,
                temperature: float = 0.2,
                num_classes: Optional[int] = None) -> Tensor:
    """Count the queries that are classified correctly.

    Votes are counted in blocks, see :func:`block_bytes`, and only for classes
    that occur in ``labels``.

    Args:
        bank, labels, query, temperature, num_classes: As for
            :func:`knn_scores`.
        query_labels (Tensor): True labels of the queries, shape (Q, ).
        k (int | Sequence[int]): Number(s) of neighbours. One search serves
            all of them. Defaults to 20.

    Returns:
        Tensor: Integers of shape (len(k), 2): how often the right class came
        first, and how often among the first five. A class without a
        neighbour never counts as an answer.
    """
    ks = check_knn_options(k, temperature)
    _check_labels(labels, bank.size(0), num_classes)
    cosines, indices = nearest_neighbours(bank, query, max(ks))
    classes, labels = labels.to(indices.device).unique(return_inverse=True)
    truth = query_labels.to(indices.device)[:, None]
    step = max(1,
               block_bytes(query.device) // (BYTES_OF_A_VOTE * len(classes)))
    counts = indices.new_zeros(len(ks), 2)
    for cos, index, right in zip(
            cosines.split(step), indices.split(step), truth.split(step)):
        for value, count in zip(ks, counts):
            scores = vote(cos[:, :value], labels[index[:, :value]],
                          temperature, len(classes))
            first = rank_classes(scores)[:, :5]
            hits = (classes[first] == right) & (scores.gather(1, first) > 0)
            count += torch.stack([hits[:, :1].sum(), hits.sum()])
    return counts


def knn_accuracy(bank: Tensor,
                 labels: Tensor,
                 query: Tensor,
                 query_labels: Tensor,
                 k: Union[int, Sequence[int]] = 20,
                 temperature: float = 0.2,
                 num_classes: Optional[int] = None) -> Dict[str, float]:
    """Measure the accuracy of the nearest-neighbour classifier.

    Arguments are those of :func:`knn_correct`.

    Returns:
        dict[str, float]: Accuracies in per cent, named ``top1`` and ``top5``;
        with several ``k``, ``top1_k20``, ``top5_k20`` and so on. There is no
        ``top5`` if the bank has five classes or fewer.

    Raises:
        ValueError: There is no query, or as :func:`knn_scores`.
    """
    if not query.size(0):
        raise ValueError('no query to classify: the test set is empty')
    counts = knn_correct(bank, labels, query, query_labels, k, temperature,
                         num_classes)
    return name_accuracies(counts, query.size(0), k, len(labels.unique()))


def name_accuracies(counts: Tensor, total: int, k: Union[int, Sequence[int]],
                    num_classes: int) -> Dict[str, float]:
    """Turn counts of :func:`knn_correct` into named percentages.

    Args:
        counts (Tensor): Integers of shape (len(k), 2).
        total (int): Number of queries.
        k (int | Sequence[int]): Number(s) of neighbours.
        num_classes (int): Classes among which the neighbours choose.

    Returns:
        dict[str, float]: As :func:`knn_accuracy`.
    """
    ks = tuple(k) if isinstance(k, (list, tuple)) else (k, )
    results = {}
    for value, (top1, top5) in zip(ks, counts.tolist()):
        suffix = f'_k{value}' if len(ks) > 1 else ''
        results[f'top1{suffix}'] = 100. * top1 / total
        if num_classes > 5:  # else it would always be 100
            results[f'top5{suffix}'] = 100. * top5 / total
    return results
