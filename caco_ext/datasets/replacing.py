"""Let training go on although some pictures cannot be read."""
import logging
from typing import Any, Iterator, NoReturn, Sequence, Union

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from caco_ext.utils.text import first_of
from .broken import BrokenPictures
from .pictures import BrokenPictureError
from .seeding import SharedSeed

Indices = Union[int, Sequence[int]]


def check_share(name: str, value: float) -> None:
    """Check an option that is a share.

    Args:
        name (str): Its name.
        value (float): Its value.

    Raises:
        ValueError: If it is not above 0 and at most 1.
    """
    if not 0 < value <= 1:
        raise ValueError(f'{name} must be above 0 and at most 1, got {value}')


class ReplacingDataset(BaseDataset):
    """A data set that replaces broken pictures by others.

    A picture that cannot be read is reported once and counted. Its index
    alone decides which picture replaces it. The run goes on until too many
    are broken. A picture's random draws depend only on run seed, epoch and
    index, see :class:`SharedSeed`.

    Args:
        max_broken_share (float): The run stops when more than this share of
            the pictures, and more than ten, cannot be read. Defaults to 0.1.
        max_refetch (int): How many other pictures are tried in place of a
            broken one. Defaults to 20.
        **kwargs: Arguments of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        ValueError: If ``max_broken_share`` is not above 0 and at most 1.
        RuntimeError: While loading, if too many pictures are broken.
    """

    def __init__(self,
                 max_broken_share: float = 0.1,
                 max_refetch: int = 20,
                 **kwargs: Any) -> None:
        check_share('max_broken_share', max_broken_share)
        self.max_broken_share = max_broken_share
        self.seed = SharedSeed()
        super().__init__(max_refetch=max_refetch, **kwargs)

    def full_init(self) -> None:
        """Collect the pictures, once."""
        if not self._fully_initialized:
            super().full_init()
            self._reset_broken()

    def _reset_broken(self) -> None:
        self.broken = BrokenPictures(len(self), self.max_broken_share)

    def get_subset_(self, indices: Indices) -> None:
        """Reduce the data set to some of its pictures, in place."""
        super().get_subset_(indices)
        self._reset_broken()

    def get_subset(self, indices: Indices) -> 'ReplacingDataset':
        """Make a data set of some of the pictures."""
        subset = super().get_subset(indices)
        subset._reset_broken()
        return subset

    def set_epoch(self, seed: int, epoch: int, stream: int = 0) -> None:
        """Make the random draws depend on (seed, epoch, stream, index).

        Args:
            seed (int): Seed of the run.
            epoch (int): Epoch, 0 or more.
            stream (int): See :meth:`SharedSeed.set`. Defaults to 0.
        """
        self.seed.set(seed, epoch, stream)

    @property
    def num_broken(self) -> int:
        """int: Pictures found broken so far, by any worker."""
        return len(self.broken)

    def _note_broken(self, idx: int, error: BrokenPictureError) -> None:
        """Report a broken picture once; stop when they are too many."""
        if not self.broken.add(idx):
            return
        print_log(f'{error}; another picture takes its place', 'current',
                  logging.WARNING)
        if self.num_broken > self.broken.limit:
            self._give_up(
                f'{self.num_broken} of {len(self)} pictures cannot be read, '
                f'more than max_broken_share={self.max_broken_share} allows',
                self.broken.indices())

    def _give_up(self, what: str, indices: Sequence[int]) -> NoReturn:
        paths = (self.get_data_info(i)['img_path'] for i in indices)
        raise RuntimeError(f'{what}; mend or remove them:\n  ' +
                           first_of(paths, 20, '\n  '))

    def _candidates(self, idx: int) -> Iterator[int]:
        """The picture itself, then those that may replace it.

        A separate generator draws them from the index alone. So they do not
        change the global draws.
        """
        yield idx
        others = np.random.default_rng(abs(idx))
        yield from others.integers(
            len(self), size=(self.max_refetch, )).tolist()

    def __getitem__(self, idx: int) -> Any:
        """One picture, or another one in place of a broken one."""
        self.full_init()
        with self.seed.sample(idx):
            tried = []
            for candidate in self._candidates(idx):
                tried.append(candidate)
                if candidate in self.broken:
                    continue
                try:
                    data = self.prepare_data(candidate)
                except BrokenPictureError as error:
                    self._note_broken(candidate, error)
                else:
                    if data is not None:
                        return data
            self._give_up(
                f'picture {idx} and {self.max_refetch} others in its place '
                'gave nothing', sorted(set(tried)))
