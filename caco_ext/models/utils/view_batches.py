# Copyright (c) caco_ext authors. All rights reserved.
from typing import Any, Callable, Dict, List, Sequence

import torch
from torch import Tensor


def encode_views(encode: Callable[[Tensor], Any], inputs: Sequence[Tensor],
                 views: Sequence[int], fuse: bool) -> list:
    """Encode views one after the other, or those of one size as one batch.

    Args:
        encode (Callable): Encodes a batch as (N, C), or as a tuple of such.
        inputs (Sequence[Tensor]): All views, (N, 3, H, W) each.
        views (Sequence[int]): Which of them to encode.
        fuse (bool): Whether views of one size go through ``encode`` together.

    Returns:
        list: What ``encode`` gives for each of ``views``.
    """
    groups: Dict[tuple, List[int]] = {}
    for i, view in enumerate(views):
        size = tuple(inputs[view].shape) if fuse else (i, )
        groups.setdefault(size, []).append(i)
    features: Dict[int, Any] = {}
    for places in groups.values():
        batches = [inputs[views[i]] for i in places]
        result = encode(torch.cat(batches) if len(batches) > 1 else batches[0])
        if isinstance(result, tuple):  # several streams
            parts = zip(*(one.chunk(len(places)) for one in result))
        else:
            parts = result.chunk(len(places))
        features.update(zip(places, parts))
    return [features[i] for i in range(len(views))]
