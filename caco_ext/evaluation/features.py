"""Features of pictures, extracted by all processes together."""
import random
from contextlib import contextmanager
from typing import Iterator, List, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.dist import all_gather, all_reduce, broadcast, get_dist_info
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from caco_ext.utils.models import unwrap_model

# rows that travel in one collective; bounds the copy that gathering makes
GATHER_ROWS = 8192


@contextmanager
def preserve_rng() -> Iterator[None]:
    """Leave the random numbers of the training as they are.

    Python's, NumPy's and torch's global generators (of the current GPU too)
    are put back on leaving, whatever was drawn inside.
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
        if cuda:
            torch.cuda.set_rng_state(cuda_state)


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[nn.Module]:
    """Put a module in eval mode, and each submodule's mode back afterwards.

    Args:
        module (nn.Module): The module, not wrapped for DDP.
    """
    modes = [(m, m.training) for m in module.modules()]
    try:
        module.eval()
        yield module
    finally:
        for submodule, mode in modes:
            # not through train(): some classes do more than set the flag
            submodule.training = mode


@contextmanager
def buffers_of_rank_0(module: nn.Module) -> Iterator[nn.Module]:
    """Lend all ranks the buffers of rank 0. Every rank must call it.

    Ranks with plain batch norm keep statistics of their own and the
    checkpoint holds those of rank 0, so these are the ones to evaluate.

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


def one_view(model: nn.Module, item: dict) -> Tensor:
    """Preprocess a batch; MMSelfSup returns a tuple, MMPretrain a dict.

    Args:
        model (nn.Module): An algorithm with ``data_preprocessor``.
        item (dict): ``inputs``, a list with one tensor (N, 3, H, W) uint8
            BGR, and ``data_samples``.

    Returns:
        Tensor: What the backbone takes, (N, 3, H, W).

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
        normalize (bool): Whether they become unit vectors, as kNN wants.
            Defaults to True.

    Returns:
        tuple[Tensor, Tensor]: float32 features (N, C) and int64
        labels (N, ), on the CPU. Unreadable pictures, which a data set
        replaced by others, are missing from both.
    """
    model = unwrap_model(model)
    features, labels = [], []
    backbone = model.backbone
    with evaluation_mode(backbone), buffers_of_rank_0(backbone):
        for batch in dataloader:
            images = one_view(model, batch['item'])
            maps = backbone(images)
            features.append(pool_features(maps, normalize).cpu())
            labels.append(batch['label'])
    # a rank without pictures still has to know the width
    width = torch.tensor(features[0].size(1) if features else 0)
    all_reduce(width, 'max')
    features.append(torch.zeros(0, int(width)))
    labels.append(torch.zeros(0, dtype=torch.long))
    features, labels = torch.cat(features), torch.cat(labels)
    if gather:
        features, labels = gather_shards(features), gather_shards(labels)
    known = labels >= 0
    if not known.all():  # do not copy a large bank for nothing
        features, labels = features[known], labels[known]
    return features, labels


def gather_shards(shard: Tensor) -> Tensor:
    """Unite what rank r of R has of the items r, r + R, r + 2R, ...

    Shards may differ in length by one. Rows travel in blocks, so that
    little more memory is needed than the result takes.

    Args:
        shard (Tensor): Rows of this rank, shape (n, ...).

    Returns:
        Tensor: All rows in the original order, shape (N, ...).
    """
    rank, world = get_dist_info()
    if world == 1:
        return shard
    total = torch.tensor(len(shard))
    all_reduce(total, 'sum')
    total = int(total)
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
            # the first row of this block is item r + start * R
            place = result[r + start * world::world][:rows]
            place.copy_(received[:len(place)])
    return result
