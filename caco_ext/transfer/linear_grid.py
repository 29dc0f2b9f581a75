"""A linear layer on cached features, for a grid of learning rates."""
from typing import Dict, Sequence, Tuple

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor
from torch.nn import functional as F

from .frozen import FrozenBackbone
from .knn import labelled_features


def train_linear(features: Tensor,
                 labels: Tensor,
                 num_classes: int,
                 lrs: Sequence[float],
                 epochs: int = 100,
                 batch_size: int = 256,
                 momentum: float = 0.9,
                 weight_decay: float = 0.,
                 seed: int = 0) -> Tuple[Tensor, Tensor]:
    """Train one linear layer for each learning rate, all at once.

    Uses SGD with a cosine schedule to zero. Every layer begins with the same
    N(0, 0.01) weights and sees the same batches.

    Args:
        features (Tensor): Shape (N, C).
        labels (Tensor): Shape (N, ).
        num_classes (int): K.
        lrs (Sequence[float]): L learning rates.
        epochs (int): Defaults to 100.
        batch_size (int): Defaults to 256.
        momentum (float): Defaults to 0.9.
        weight_decay (float): Defaults to 0.
        seed (int): Seed of weights and batches. Defaults to 0.

    Returns:
        tuple[Tensor, Tensor]: Weights (L, K, C) and biases (L, K).
    """
    generator = torch.Generator().manual_seed(seed)
    start = 0.01 * torch.randn(
        num_classes, features.size(1), generator=generator)
    rates = torch.tensor(lrs).to(features)
    weight = start.to(features).repeat(len(lrs), 1, 1)
    bias = features.new_zeros(len(lrs), num_classes)
    parameters = [weight, bias]
    velocities = [torch.zeros_like(p) for p in parameters]
    for epoch in range(epochs):
        cosine = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * epoch / epochs)))
        step = rates * cosine.to(rates)
        order = torch.randperm(len(labels), generator=generator)
        for rows in order.split(batch_size):
            rows = rows.to(features.device)
            x, y = features[rows], labels[rows]
            logits = torch.einsum('nc,lkc->lnk', x, weight) + bias[:, None]
            slope = logits.softmax(2) - F.one_hot(y, num_classes)
            slope /= len(rows)
            gradients = (torch.einsum('lnk,nc->lkc', slope, x), slope.sum(1))
            for p, v, g in zip(parameters, velocities, gradients):
                v.mul_(momentum).add_(g).add_(p, alpha=weight_decay)
                p.sub_(step.view(-1, *[1] * (p.ndim - 1)) * v)
    return weight, bias


def measure_grid(cfg: Config,
                 model: FrozenBackbone) -> Tuple[Dict[str, float], dict]:
    """Accuracy of linear layers on features of the centre crop.

    The backbone sees each picture only once for all learning rates. With
    ``cache``, a second call does not need it at all. Training has no random
    crops, so results are a few per cent below the papers' protocols. They
    help to find a learning rate.

    Args:
        cfg (Config): See :func:`caco_ext.transfer.knn.labelled_features`.
            Also has 'lrs', and 'probe' with further arguments of
            :func:`train_linear`.
        model (FrozenBackbone): Extracts the features.

    Returns:
        tuple[dict[str, float], dict]: Accuracies in per cent, named like
        'top1_lr0.1', and the best one as 'top1'; the best learning rate and
        the sizes of both sets.
    """
    bank, labels, query, truth = labelled_features(cfg, model, 1)
    classes = int(max(labels.max(), truth.max())) + 1
    device = next(model.parameters()).device
    weight, bias = train_linear(
        bank.to(device),
        labels.to(device),
        classes,
        cfg.lrs,
        seed=cfg.seed,
        **cfg.get('probe', {}))
    metrics, best = {}, 0
    for i, lr in enumerate(cfg.lrs):
        logits = query.to(device) @ weight[i].t() + bias[i]
        # The argmax of NaN means nothing.
        right = (logits.argmax(1).cpu() == truth) & \
            logits.isfinite().all(1).cpu()
        metrics[f'top1_lr{lr:g}'] = 100. * right.float().mean().item()
        if metrics[f'top1_lr{lr:g}'] > metrics[f'top1_lr{cfg.lrs[best]:g}']:
            best = i
        if not logits.isfinite().all():
            print_log(f'lr {lr:g} diverged', 'current')
    metrics['top1'] = metrics[f'top1_lr{cfg.lrs[best]:g}']
    return metrics, dict(
        best_lr=cfg.lrs[best], pictures=dict(train=len(bank), test=len(query)))
