"""Search for the nearest neighbours of features, in blocks."""
import math
from typing import Sequence, Tuple, Union

import torch
from torch import Tensor

# Bytes of a block, beside features and results. Half is for rows of the bank,
# half for similarities.
CPU_BYTES = 2**27
GPU_BYTES = 2**32
# Share of a GPU's free memory: topk needs room, too, and another process may
# use the same GPU.
GPU_SHARE = 0.25


def check_knn_options(k: Union[int, Sequence[int]],
                      temperature: float) -> Tuple[int, ...]:
    """Check the two options of the classifier.

    Args:
        k (int | Sequence[int]): Number(s) of neighbours.
        temperature (float): Temperature of the weights.

    Returns:
        tuple[int]: The numbers of neighbours, even if there is only one.

    Raises:
        ValueError: A ``k`` is not a positive integer, one is given twice,
            or the temperature is not positive.
    """
    ks = tuple(k) if isinstance(k, (list, tuple)) else (k, )
    for value in ks:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f'k={k!r}: the number of neighbours must be an '
                             'integer of at least 1, or a list of such')
    if not ks or len(set(ks)) != len(ks):
        raise ValueError(f'k={k!r}: name every number of neighbours once')
    if isinstance(temperature,
                  bool) or not isinstance(temperature,
                                          (int, float)) or not temperature > 0:
        raise ValueError(f'temperature={temperature!r} must be a number '
                         'above 0; CaCo uses 0.2')
    return ks


def nearest_neighbours(bank: Tensor, query: Tensor,
                       k: int) -> Tuple[Tensor, Tensor]:
    """Find the ``k`` rows of the bank with the largest inner product.

    Works in blocks, so that memory does not grow with queries times bank. See
    :func:`block_bytes` for their size. The bank may be on another device than
    the queries. Each of its rows is copied to theirs once.

    Args:
        bank (Tensor): Features to search, unit length, shape (M, C).
        query (Tensor): Features to classify, unit length, shape (Q, C).
        k (int): Number of neighbours.

    Returns:
        tuple[Tensor, Tensor]: Cosines, best first, and the rows of the bank
        they belong to, both of shape (Q, k), on the queries' device.

    Raises:
        ValueError: Shapes do not match or ``k`` exceeds the bank.

    Examples:
        >>> nearest_neighbours(torch.eye(3), torch.eye(3)[1:2], 1)
        (tensor([[1.]]), tensor([[1]]))
    """
    if bank.dim() != 2 or query.dim() != 2 or bank.size(1) != query.size(1):
        raise ValueError('bank (M, C) and query (Q, C) need the same C, got '
                         f'{tuple(bank.shape)} and {tuple(query.shape)}')
    check_knn_options(k, 1.)
    if k > bank.size(0):
        raise ValueError(f'k={k} neighbours, but the bank holds only '
                         f'{bank.size(0)} features; lower k or enlarge the '
                         'training share')
    half = block_bytes(query.device) // (2 * query.element_size())
    rows = max(1, min(half // query.size(1), bank.size(0)))
    step = max(1, half // rows)
    cosines = query.new_full((query.size(0), k), -math.inf)
    indices = query.new_empty(query.size(0), k, dtype=torch.long)
    # The bank outside, so that each row is copied to the device only once.
    for b in range(0, bank.size(0), rows):
        block = bank[b:b + rows].to(query)
        for part, best, where in zip(
                query.split(step), cosines.split(step), indices.split(step)):
            cos = part @ block.t()  # (step, rows)
            # The k nearest are among the k nearest of their blocks.
            cos, index = cos.topk(min(k, block.size(0)), dim=1)
            both = torch.cat([where, index + b], dim=1)
            top, order = torch.cat([best, cos], dim=1).topk(k, dim=1)
            best.copy_(top)
            where.copy_(both.gather(1, order))
    return cosines, indices


def block_bytes(device: torch.device) -> int:
    """Memory that a block of the search or of the votes may take.

    Args:
        device (torch.device): Where it is computed.

    Returns:
        int: Bytes. On a GPU, a share of what is free or only cached by torch,
        at most 4 GiB; elsewhere 128 MiB.
    """
    if device.type != 'cuda':
        return CPU_BYTES
    free, _ = torch.cuda.mem_get_info(device)
    cached = torch.cuda.memory_reserved(device) \
        - torch.cuda.memory_allocated(device)
    return min(int((free + cached) * GPU_SHARE), GPU_BYTES)
