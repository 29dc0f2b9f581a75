"""Features of pictures, extracted by all processes together."""
import random
from contextlib import contextmanager
from typing import Any, Iterator, List, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.dist import all_gather, all_reduce, broadcast, get_dist_info
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from caco_ext.utils.models import unwrap_model

# Rows gathered in one collective. Limits the memory that gathering takes.
GATHER_ROWS = 8192


@contextmanager
def preserve_rng() -> Iterator[None]:
    """Keep the training's random numbers unchanged.

    On leaving, the global generators of Python, NumPy and torch (also of the
    current GPU) are restored.
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.is_available() and torch.cuda.is_initialized()
    cuda_state = torch.cuda.get_rng_state() if cuda else None
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if cuda_state is not None:
            torch.cuda.set_rng_state(cuda_state)


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[nn.Module]:
    """Put a module in eval mode; restore each submodule's mode afterwards.

    Args:
        module (nn.Module): The module, not wrapped for DDP.
    """
    modes = [(m, m.training) for m in module.modules()]
    try:
        module.eval()
        yield module
    finally:
        for submodule, mode in modes:
            # Not by train(), which does more in some classes.
            submodule.training = mode


@contextmanager
def buffers_of_rank_0(module: nn.Module) -> Iterator[nn.Module]:
    """Use rank 0's buffers on all ranks meanwhile. Every rank must call it.

    With plain batch norm each rank has its own statistics. The checkpoint
    holds those of rank 0, so these are evaluated.

    Args:
        module (nn.Module): The module, not wrapped for DDP.
    """
    buffers: List[Tuple[Tensor, Tensor]] = []
    try:
        if get_dist_info()[1] > 1:
            buffers = [(b, b.clone()) for b in module.buffers()]
            for buffer, _ in buffers:
                broadcast(buffer.data)
        yield module
    finally:
        for buffer, own in buffers:
            buffer.data.copy_(own)


def pool_features(outputs: Union[Tensor, Sequence[Tensor]],
                  normalize: bool = True) -> Tensor:
    """Average the last feature map of a backbone.

    Args:
        outputs (Tensor | Sequence[Tensor]): Feature maps of shape
            (N, C, h, w), or vectors of shape (N, C).
        normalize (bool): Make them unit vectors. Defaults to True.

    Returns:
        Tensor: float32 vectors, shape (N, C).
    """
    last = outputs[-1] if isinstance(outputs, (list, tuple)) else outputs
    if not isinstance(last, Tensor) or last.dim() not in (2, 4):
        raise ValueError('the backbone must end in a map (N, C, h, w) or in '
                         'vectors (N, C), got '
                         f'{tuple(getattr(last, "shape", ())) or type(last)}')
    last = last.float()
    last = last.mean((2, 3)) if last.dim() == 4 else last
    return F.normalize(last, dim=1) if normalize else last


def one_view(model: Any, item: dict) -> Tensor:
    """Preprocess a batch with MMSelfSup's or MMPretrain's preprocessor.

    Args:
        model (nn.Module): An algorithm with ``data_preprocessor``.
        item (dict): ``inputs``, a list with one tensor (N, 3, H, W) uint8
            BGR, and ``data_samples``.

    Returns:
        Tensor: Input of the backbone, (N, 3, H, W).

    Raises:
        ValueError: There is not exactly one view of a picture.
    """
    data = model.data_preprocessor(item, False)
    inputs = data['inputs'] if isinstance(data, dict) else data[0]
    if isinstance(inputs, (list, tuple)):
        if len(inputs) != 1:
            raise ValueError(f'kNN wants one view of a picture, got '
                             f'{len(inputs)}; use a pipeline without '
                             'MultiView')
        inputs = inputs[0]
    return inputs


@torch.no_grad()
def features_and_labels(model: nn.Module,
                        dataloader: DataLoader,
                        gather: bool = True,
                        normalize: bool = True) -> Tuple[Tensor, Tensor]:
    """Extract features of a data set by the query encoder's backbone.

    The features are the globally averaged last map of ``model.backbone`` in
    eval mode. Every rank must call it.

    Args:
        model (nn.Module): An algorithm with ``backbone`` and
            ``data_preprocessor``, possibly wrapped for DDP.
        dataloader (DataLoader): From
            :func:`caco_ext.evaluation.build_feature_loader`.
        gather (bool): Whether every rank gets the pictures of all ranks, in
            the order of the data set. Defaults to True.
        normalize (bool): Whether to make them unit vectors, as kNN needs.
            Defaults to True.

    Returns:
        tuple[Tensor, Tensor]: float32 features (N, C) and int64
        labels (N, ), on the CPU. Unreadable pictures, which a data set
        replaced by others, are missing from both.
    """
    model = unwrap_model(model)
    rows, numbers = [], []
    backbone: Any = model.backbone
    with evaluation_mode(backbone), buffers_of_rank_0(backbone):
        for batch in dataloader:
            images = one_view(model, batch['item'])
            maps = backbone(images)
            rows.append(pool_features(maps, normalize).cpu())
            numbers.append(batch['label'])
    # A rank without pictures must know the width, too.
    width = torch.tensor(rows[0].size(1) if rows else 0)
    all_reduce(width, 'max')
    rows.append(torch.zeros(0, int(width)))
    numbers.append(torch.zeros(0, dtype=torch.long))
    features, labels = torch.cat(rows), torch.cat(numbers)
    if gather:
        features, labels = gather_shards(features), gather_shards(labels)
    known = labels >= 0
    if not known.all():  # avoids copying a large bank
        features, labels = features[known], labels[known]
    return features, labels


def gather_shards(shard: Tensor) -> Tensor:
    """Gather the rows of all ranks; rank r of R has rows r, r + R, r + 2R, ...

    Shards may differ in length by one. Rows are gathered in blocks, so that
    this takes little more memory than the result.

    Args:
        shard (Tensor): Rows of this rank, shape (n, ...).

    Returns:
        Tensor: All rows in the original order, shape (N, ...).
    """
    rank, world = get_dist_info()
    if world == 1:
        return shard
    count = torch.tensor(len(shard))
    all_reduce(count, 'sum')
    total = int(count)
    if len(shard) != len(range(rank, total, world)):
        raise ValueError(f'rank {rank} has {len(shard)} rows of {total}, '
                         f'not every {world}th; use build_feature_loader')
    result = shard.new_empty(total, *shard.shape[1:])
    longest = -(-total // world)
    for start in range(0, longest, GATHER_ROWS):
        rows = min(GATHER_ROWS, longest - start)
        block = shard.new_zeros(rows, *shard.shape[1:])
        own = shard[start:start + rows]
        block[:len(own)] = own
        for r, received in enumerate(all_gather(block)):
            # The first row of this block is row r + start * R of the result.
            place = result[r + start * world::world][:rows]
            place.copy_(received[:len(place)])
    return result
