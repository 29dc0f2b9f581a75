"""Record broken pictures of a data set, across processes."""
from typing import Any, Dict, List

import torch
from mmengine.dist import all_reduce


class BrokenPictures:
    """One flag per picture, in memory that all loader workers share.

    Setting a flag twice changes nothing. So no lock is needed, and a picture
    that several epochs or workers read counts once. A tensor in shared memory
    survives fork, spawn, copying and pickling; a ``multiprocessing.Value``
    does not. The flags live as long as the data set. A resumed run finds the
    broken pictures again.

    Args:
        size (int): Number of pictures.
        max_share (float): Largest share of broken pictures that is
            tolerated. Ten pictures always are. Defaults to 0.1.
    """

    ALWAYS_TOLERATED = 10

    def __init__(self, size: int, max_share: float = 0.1) -> None:
        self.max_share = max_share
        self.flags = torch.zeros(size, dtype=torch.uint8).share_memory_()

    def __deepcopy__(self, memo: Dict[int, Any]) -> 'BrokenPictures':
        other = type(self)(len(self.flags), self.max_share)
        other.flags.copy_(self.flags)
        return other

    def __contains__(self, idx: int) -> bool:
        return bool(self.flags[idx])

    def add(self, idx: int) -> bool:
        """Mark a picture as broken.

        Args:
            idx (int): Its index.

        Returns:
            bool: Whether this is new, so the picture was not marked before.
        """
        new = idx not in self
        self.flags[idx] = 1
        return new

    @property
    def limit(self) -> int:
        """int: Number of broken pictures that is still tolerated."""
        return max(self.ALWAYS_TOLERATED,
                   int(self.max_share * len(self.flags)))

    def indices(self, reduce: bool = False) -> List[int]:
        """Indices of the broken pictures.

        Args:
            reduce (bool): Combine the flags of all ranks first. Then every
                rank must call this. Defaults to False.

        Returns:
            list[int]: Sorted indices.
        """
        flags = self.flags
        if reduce:
            flags = flags.clone()
            all_reduce(flags, op='max')
        return flags.nonzero().flatten().tolist()

    def __len__(self) -> int:
        return int(self.flags.sum(dtype=torch.int64))
