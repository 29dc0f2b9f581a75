# Copyright (c) caco_ext authors. All rights reserved.
"""Communication between ranks."""
from typing import Tuple

import torch
from mmengine.dist import all_gather, broadcast, get_rank, get_world_size
from torch import Tensor


@torch.compiler.disable
@torch.no_grad()
def concat_all_gather(features: Tensor) -> Tensor:
    """The features of all ranks in rank order, without gradient.

    Args:
        features (Tensor): (N, C), the same N on every rank.

    Returns:
        Tensor: (N * ranks, C); the input itself, detached, on one rank.
    """
    if get_world_size() == 1:
        return features.detach()
    return torch.cat(all_gather(features.detach().contiguous()))


def local_labels(size: int, device: torch.device) -> Tensor:
    """Indices of this rank's rows in what :func:`concat_all_gather` returns.

    Args:
        size (int): Rows of this rank.
        device (torch.device): Device of the result.

    Returns:
        Tensor: (size, ) int64, ``rank * size + n`` with the **global** rank.
    """
    return torch.arange(size, device=device) + get_rank() * size


@torch.compiler.disable
@torch.no_grad()
def batch_shuffle(images: Tensor) -> Tuple[Tensor, Tensor]:
    """Give each rank a random part of the global batch.

    The key encoder's batch statistics then differ from the query encoder's
    (section 3.3 of MoCo, arXiv 1911.05722). On one rank a permutation would
    change nothing, so none is made.

    Args:
        images (Tensor): (N, ...).

    Returns:
        tuple[Tensor, Tensor]: (N, ...) and the permutation for
        :func:`batch_unshuffle`, (N * ranks, ).
    """
    ranks = get_world_size()
    order = torch.arange(images.size(0) * ranks, device=images.device)
    if ranks == 1:
        return images, order
    order = order[torch.randperm(order.numel(), device=order.device)]
    broadcast(order, src=0)
    mine = order.view(ranks, -1)[get_rank()]
    return torch.cat(all_gather(images.contiguous()))[mine], order


@torch.compiler.disable
@torch.no_grad()
def batch_unshuffle(features: Tensor, order: Tensor) -> Tensor:
    """Bring the features of shuffled images back to their own rank.

    Args:
        features (Tensor): (N, C).
        order (Tensor): The permutation of :func:`batch_shuffle`.

    Returns:
        Tensor: (N, C), in the order of the images before the shuffle.
    """
    if get_world_size() == 1:
        return features
    return concat_all_gather(features)[order.argsort()[local_labels(
        features.size(0), features.device)]]
