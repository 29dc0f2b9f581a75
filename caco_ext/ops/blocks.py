# Copyright (c) caco_ext authors. All rights reserved.
"""Cuts the columns of a bank into blocks and runs them on all threads."""
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch
from torch import Tensor

# Elements of an array of one block of columns. On a CPU it takes half a MiB,
# so that four fit into a second-level cache. A GPU needs few, large kernels.
WORK, WORK_GPU, MIN_BLOCK = 2**17, 2**23, 512
# Block widths are multiples of this; nearest_columns relies on it.
GROUP = 64
# Chunks that the threads share. Their results are summed in the order of the
# chunks, so the number of threads does not change the sum.
NUM_CHUNKS = 16

Blocks = List[slice]


def chunks_of_blocks(columns: Tensor, rows: int,
                     block: Optional[int]) -> List[Blocks]:
    """Cut the columns into blocks, and these into chunks.

    Args:
        columns (Tensor): (C, K).
        rows (int): Number of queries that meet the columns.
        block (int, optional): Columns per block. None takes what the
            processor's caches hold.

    Returns:
        list[list[slice]]: The blocks of each chunk. On a GPU, which runs one
        kernel at a time, there is one chunk.
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
    """Threads in which torch's operations use no further threads."""
    together = threading.Barrier(threads + 1)

    def begin() -> None:
        torch.set_num_threads(1)
        # With its first operation a thread takes over the process's number
        # of threads. This call makes it do so now, while that number is 1.
        torch.get_num_threads()
        torch.set_grad_enabled(False)

    pool = ThreadPoolExecutor(threads, 'bank', begin)
    for _ in range(threads):
        pool.submit(together.wait)
    together.wait()
    # This sets the number for the calling thread and for later ones only.
    torch.set_num_threads(threads)
    return pool


# A forked process inherits the pool, but not its threads.
os.register_at_fork(after_in_child=_pool.cache_clear)


# torch.compile cannot follow threads and the memory that they reuse.
@torch.compiler.disable
def parallel_map(visit: Callable[[Blocks], Any],
                 chunks: List[Blocks]) -> List[Any]:
    """Call ``visit`` with each chunk, in as many threads as torch may use.

    torch's own threads wait for each other after every operation on a block,
    which takes as long as the operation. On a busy machine they often wait
    for a thread that has lost its core. Here they wait once, at the end.

    Args:
        visit (callable): Takes a list of blocks. It must not write to
            anything that another call reads.
        chunks (list[list[slice]]): From :func:`chunks_of_blocks`.

    Returns:
        list: What the calls returned, in the order of the chunks.
    """
    threads = torch.get_num_threads()
    if threads == 1 or len(chunks) == 1:
        return [visit(chunk) for chunk in chunks]
    return list(_pool(threads).map(visit, chunks))


class _Workspace(threading.local):
    """Arrays of a thread that are reused: new memory from the system costs
    more time than the computation in it."""

    def __init__(self) -> None:
        self.arrays: Dict[Tuple[str, torch.dtype], Tensor] = {}

    def __call__(self, name: str, like: Tensor, *shape: int) -> Tensor:
        """An uninitialised array.

        Args:
            name (str): Calls with the same name get the same memory.
            like (Tensor): Gives device and type.
            *shape (int): The shape.
        """
        if like.device.type != 'cpu':  # a GPU's allocator reuses memory
            return like.new_empty(shape)
        key = name, like.dtype
        array = self.arrays.get(key)
        if array is None or array.shape != shape:
            array = self.arrays[key] = like.new_empty(shape)
        return array


workspace = _Workspace()
