# Copyright (c) caco_ext authors. All rights reserved.
"""Cuts the columns of a bank into blocks and runs them on all threads."""
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch
from torch import Tensor

# Elements of the arrays that one block of columns takes. Half a MiB on a CPU:
# four of them stay in a second-level cache. A GPU wants few, large kernels.
WORK, WORK_GPU, MIN_BLOCK = 2**17, 2**23, 512
# Block widths are multiples of this; nearest_columns counts on it.
GROUP = 64
# The blocks are cut into so many chunks for the threads. Their results are
# summed in the order of the chunks, so the number of threads changes nothing.
NUM_CHUNKS = 16

Blocks = List[slice]


def chunks_of_blocks(columns: Tensor, rows: int,
                     block: Optional[int]) -> List[Blocks]:
    """Cut the columns into blocks, and these into chunks.

    Args:
        columns (Tensor): (C, K).
        rows (int): Queries that meet them.
        block (int, optional): Columns of a block. None takes what the
            processor's caches hold.

    Returns:
        list[list[slice]]: The ranges of each chunk; one chunk on a GPU, which
        runs one kernel at a time.
    """
    dim, count = columns.shape
    on_cpu = columns.device.type == 'cpu'
    work = (WORK if on_cpu else WORK_GPU) // max(rows, dim)
    width = min(block or max(MIN_BLOCK, work // GROUP * GROUP), count)
    blocks = [
        slice(start, min(start + width, count))
        for start in range(0, count, width)
    ]
    size = -(-len(blocks) // NUM_CHUNKS) if on_cpu else len(blocks)
    return [blocks[i:i + size] for i in range(0, len(blocks), size)]


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that each run torch's operations alone."""
    together = threading.Barrier(threads + 1)

    def begin() -> None:
        torch.set_num_threads(1)
        # A thread takes the number of the process, below, with its first
        # operation: this one takes it now, while that is 1.
        torch.get_num_threads()
        torch.set_grad_enabled(False)

    pool = ThreadPoolExecutor(threads, 'bank', begin)
    for _ in range(threads):
        pool.submit(together.wait)
    together.wait()
    # It holds for the thread that says it, and for threads to come.
    torch.set_num_threads(threads)
    return pool


# A forked process has the pool, but none of its threads.
os.register_at_fork(after_in_child=_pool.cache_clear)


def parallel_map(visit: Callable[[Blocks], Any],
                 chunks: List[Blocks]) -> List[Any]:
    """Call ``visit`` with each chunk, in as many threads as torch may use.

    With torch's own threads, all meet after every operation on a block, which
    takes as long as the block; on a busy machine each meeting waits for the
    thread that has just lost its core. Here they meet once a walk.

    Args:
        visit (callable): Takes a list of blocks; must write to nothing that
            another chunk's call reads.
        chunks (list[list[slice]]): From :func:`chunks_of_blocks`.

    Returns:
        list: What the calls returned, in the order of the chunks.
    """
    threads = torch.get_num_threads()
    if threads == 1 or len(chunks) == 1:
        return [visit(chunk) for chunk in chunks]
    return list(_pool(threads).map(visit, chunks))


class _Workspace(threading.local):
    """Arrays of a thread that every walk uses again: memory fresh from the
    system costs more than what is computed in it."""

    def __init__(self) -> None:
        self.arrays: Dict[Tuple[str, torch.dtype], Tensor] = {}

    def __call__(self, name: str, like: Tensor, *shape: int) -> Tensor:
        """An array with anything in it.

        Args:
            name (str): Two of a name are one.
            like (Tensor): Has the device and the type.
            *shape (int): The shape.
        """
        if like.device.type != 'cpu':  # has an allocator that keeps blocks
            return like.new_empty(shape)
        key = name, like.dtype
        array = self.arrays.get(key)
        if array is None or array.shape != shape:
            array = self.arrays[key] = like.new_empty(shape)
        return array


workspace = _Workspace()
