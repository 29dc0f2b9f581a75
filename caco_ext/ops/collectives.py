# Copyright (c) caco_ext authors. All rights reserved.
"""Communication between ranks."""
from typing import Sequence, Tuple

import numpy as np
import torch
import torch.distributed as dist
from mmengine.dist import all_gather, get_rank, get_world_size
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
def batch_shuffle(images: Tensor,
                  key: Sequence[int]) -> Tuple[Tensor, np.ndarray]:
    """Give each rank a random part of the global batch.

    The key encoder's batch statistics then differ from the query encoder's
    (section 3.3 of MoCo, arXiv 1911.05722). All ranks draw the same
    permutation from ``key``, so none has to be sent. An image goes to the
    rank that encodes it and to no other.

    Args:
        images (Tensor): (N, ...), the same N on every rank.
        key (Sequence[int]): Numbers that seed the permutation, not negative
            and the same on all ranks.

    Returns:
        tuple[Tensor, ndarray]: (N, ...) and the permutation for
        :func:`batch_unshuffle`, (N * ranks, ).
    """
    total = len(images) * get_world_size()
    order = np.random.default_rng(key).permutation(total)
    return _exchange(images, order), order


@torch.compiler.disable
@torch.no_grad()
def batch_unshuffle(features: Tensor, order: np.ndarray) -> Tensor:
    """Bring the features of shuffled images back to their own rank.

    Args:
        features (Tensor): (N, C).
        order (ndarray): The permutation of :func:`batch_shuffle`.

    Returns:
        Tensor: (N, C), in the order of the images before the shuffle.
    """
    return _exchange(features, order.argsort())


def _exchange(rows: Tensor, order: np.ndarray) -> Tensor:
    """This rank's part of the global batch in another order.

    Args:
        rows (Tensor): (N, ...), this rank's part in the present order.
        order (ndarray): (N * ranks, ), the row that comes to each place.

    Returns:
        Tensor: (N, ...).
    """
    ranks, rank = get_world_size(), get_rank()
    wanted = order.reshape(ranks, -1)  # by the rank that receives
    owners = wanted // len(rows)
    mine = owners == rank
    sent = wanted[mine] - rank * len(rows)
    # What arrives is sorted by sender.
    places = owners[rank].argsort(kind='stable').argsort()
    index = torch.from_numpy(np.stack([sent, places]))
    if rows.is_cuda:
        # From memory of another kind the copy would wait for the device.
        index = index.pin_memory()
    to_send, to_place = index.to(rows.device, non_blocking=True)
    arrived = torch.empty_like(rows, memory_format=torch.contiguous_format)
    dist.all_to_all_single(arrived, rows[to_send].contiguous(),
                           np.bincount(owners[rank], minlength=ranks).tolist(),
                           mine.sum(1).tolist())
    return arrived[to_place]
