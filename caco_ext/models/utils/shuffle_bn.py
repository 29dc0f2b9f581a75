# Copyright (c) caco_ext authors. All rights reserved.
"""Batch norms that do not tell a key from the other keys."""
from itertools import count
from typing import Callable, List, Tuple, TypeVar

import torch.distributed as dist
from mmengine.dist import get_world_size
from mmengine.logging import MessageHub
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from caco_ext.ops import batch_shuffle, batch_unshuffle

# Steps of loops that do not report their iteration.
_unreported = count()

Features = TypeVar('Features', Tensor, Tuple[Tensor, ...])


def needs_shuffle(encoder: nn.Module) -> bool:
    """Whether an encoder's features depend on which pictures share a rank.

    Args:
        encoder (nn.Module): The encoder.

    Returns:
        bool: True if several ranks run and some batch norm takes its
        statistics from fewer than all of them. Synchronised norms take them
        from all; norms in evaluation mode have them stored.
    """
    return get_world_size() > 1 and any(
        isinstance(m, _BatchNorm) and
        (m.training or m.running_mean is None) and not _is_synchronised(m)
        for m in encoder.modules())


def _is_synchronised(norm: nn.Module) -> bool:
    return (norm.training and isinstance(norm, nn.SyncBatchNorm)
            and norm.process_group in (None, dist.group.WORLD))


def shuffled(
        encode: Callable[[Tensor], Features]) -> Callable[[Tensor], Features]:
    """An encoding that shuffles its images over the ranks.

    The permutation depends on the iteration (in the fill of a bank, on its
    step) and counts the calls. So all ranks know it, and a resumed run draws
    it again. Without an mmengine Runner it depends on how often this function
    was called, which all ranks do alike.

    Args:
        encode (Callable): Encodes images, (N, 3, H, W), as (N, C) or as a
            tuple of such.

    Returns:
        Callable: Takes and returns the same, on each rank for its own images.
    """
    hub = MessageHub.get_current_instance()
    steps: List[int] = [
        hub.get_info(name, 0) for name in ('iter', 'fill_step')
    ]
    if 'iter' not in hub.runtime_info:
        steps = [next(_unreported)]
    calls = count()

    def encode_elsewhere(images: Tensor) -> Features:
        images, order = batch_shuffle(images, (*steps, next(calls)))
        features = encode(images)
        if isinstance(features, tuple):  # several streams
            return tuple(batch_unshuffle(one, order) for one in features)
        return batch_unshuffle(features, order)

    return encode_elsewhere
