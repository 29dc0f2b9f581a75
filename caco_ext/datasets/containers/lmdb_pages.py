"""Check the pages of an LMDB file, which LMDB itself does not do."""
import struct
from typing import Any

import numpy as np

_BRANCH, _LEAF = 1, 2  # kinds of pages
_ELSEWHERE = 1  # mark of a value that has pages of its own
_HEADER = 16  # bytes of a page
_EMPTY = (1 << 64) - 1


def check_pages(path: str) -> None:
    """Refuse a file whose pages lead beyond themselves or the file.

    A pointer or a length that was damaged makes LMDB read behind the end of
    the file, which kills the process. Pages of keys alone are read: one in
    1,000 to 10,000 bytes of a file of pictures.

    Args:
        path (str): An LMDB file that can be opened, not truncated.

    Raises:
        ValueError: A page is damaged.
    """
    file: Any = np.memmap(path, np.uint8, 'r')  # is a buffer, too
    # the newer of two descriptions counts
    size, = struct.unpack_from('<I', file, 40)
    root, _ = max((struct.unpack_from('<Q8xQ', file, start + 128)
                   for start in (0, size)),
                  key=lambda found: found[1])
    waiting, left = [root] * (root != _EMPTY), len(file) // size
    while waiting:
        number, left = waiting.pop(), left - 1
        if left < 0 or not _add_children(file, size, number, waiting):
            raise ValueError(
                f'{path!r} is damaged (page {number}); copy it again, or '
                'remove it and run pack.py again')


def _add_children(file: np.ndarray, size: int, number: int,
                  waiting: list) -> bool:
    """Add the pages below a page; False where it leads nowhere."""
    if number >= len(file) // size:
        return False
    page = file[number * size:(number + 1) * size].view('<u2')
    kind, end = int(page[5]), int(page[6])
    if kind not in (_BRANCH, _LEAF) or not _HEADER <= end <= size:
        return False
    nodes = page[_HEADER // 2:end // 2].astype(int)
    if (nodes < end).any() or (nodes % 2).any() or (nodes > size - 8).any():
        return False
    low, high, mark, key = (page[nodes // 2 + i].astype(int) for i in range(4))
    values = nodes + 8 + key
    if kind == _BRANCH:
        waiting += (low + (high << 16) + (mark << 32)).tolist()
        return bool((values <= size).all())
    inside = mark & _ELSEWHERE == 0
    length = low + (high << 16)
    if (values + np.where(inside, length, 8) > size).any():
        return False
    content = file[number * size:(number + 1) * size].tobytes()
    return all(
        struct.unpack_from('<Q', content, value)[0] * size +
        _HEADER + count <= len(file) for value, count in zip(
            values[~inside].tolist(), length[~inside].tolist()))
