"""Labelled pictures for an evaluation, distributed over the processes."""
import signal
from functools import partial
from typing import Any, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.dataset import default_collate
from mmengine.dist import get_dist_info
from torch.utils.data import DataLoader, Dataset

from caco_ext.utils.loaders import obey_parent_only

Integers = Union[Sequence[int], np.ndarray]


class LabelledPictures(Dataset):
    """Chosen pictures of a data set with their labels.

    Args:
        dataset (Dataset): Any map-style data set whose items have
            ``inputs`` and ``data_samples``, as ``PackSelfSupInputs`` makes.
        indices (Sequence[int]): The pictures to use.
        labels (Sequence[int]): Their labels.
    """

    def __init__(self, dataset: Dataset, indices: Integers,
                 labels: Integers) -> None:
        if len(indices) != len(labels):
            raise ValueError(f'{len(indices)} pictures need as many labels, '
                             f'got {len(labels)}')
        self.dataset = dataset
        self.indices = np.asarray(indices, dtype=np.int64)
        self.labels = np.asarray(labels, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, idx: int) -> dict:
        index = int(self.indices[idx])
        item = self.dataset[index]
        label = -1 if self._replaced(item, index) else self.labels[idx]
        return dict(item=item, label=torch.tensor(int(label)))

    def _replaced(self, item: dict, index: int) -> bool:
        """Whether another picture replaced this unreadable one."""
        if index in getattr(self.dataset, 'broken', ()):
            return True
        sample = item.get('data_samples')
        path = getattr(sample, 'metainfo', {}).get('img_path')
        if path is None or not hasattr(self.dataset, 'get_data_info'):
            return False
        return path != self.dataset.get_data_info(index).get('img_path', path)


def build_feature_loader(dataset: Any,
                         indices: Optional[Integers] = None,
                         labels: Optional[Integers] = None,
                         batch_size: int = 64,
                         num_workers: int = 2) -> DataLoader:
    """Make the loader of this rank's pictures, each exactly once.

    Rank r of R takes every R-th picture, starting with number r. No picture
    is repeated to make the shares equal.

    Args:
        dataset (Dataset): Map-style data set, see :class:`LabelledPictures`.
        indices (Sequence[int], optional): The pictures to use. Defaults to
            None (all).
        labels (Sequence[int], optional): Labels of these pictures. Defaults
            to None: read from the data set.
        batch_size (int): Pictures per batch. Defaults to 64.
        num_workers (int): Loader processes. Defaults to 2.

    Returns:
        DataLoader: Batches ``dict(item=..., label=...)``.
    """
    if indices is None:
        indices = np.arange(len(dataset))
    if labels is None:
        labels = read_labels(dataset)[np.asarray(indices)]
    rank, world = get_dist_info()
    return DataLoader(
        LabelledPictures(dataset, indices[rank::world], labels[rank::world]),
        batch_size=batch_size,
        num_workers=num_workers,
        collate_fn=collate_pictures,
        worker_init_fn=partial(obey_parent_only, (signal.SIGTERM, ), None),
        # Seeds the workers, so that nothing is drawn from the training's
        # generator.
        generator=torch.Generator().manual_seed(0))


def collate_pictures(items: Sequence[dict]) -> dict:
    """Make a batch.

    Args:
        items (Sequence[dict]): Items of :class:`LabelledPictures`.

    Returns:
        dict: ``item`` and ``label`` of all of them.

    Raises:
        ValueError: Pictures differ in size.
    """
    sizes = [
        tuple(view.shape[-2:] for view in one['item']['inputs'])
        for one in items if isinstance(one['item']['inputs'], (list, tuple))
    ]
    for size in sizes:
        if size != sizes[0]:
            a, b = ('x'.join(map(str, one[0][::-1]))
                    for one in (sizes[0], size))
            raise ValueError(
                f'pictures of different sizes, {a} and {b} pixels, cannot be '
                'measured in one batch; put a resize and a crop into the '
                "pipeline of their data set, as dict(type='mmcls.ResizeEdge', "
                "scale=64, edge='short') and dict(type='CenterCrop', "
                'crop_size=64) before the packing')
    return default_collate(items)


def read_labels(dataset: Any, name: str = 'the data set') -> np.ndarray:
    """Read the labels of a data set without loading its pictures.

    Args:
        dataset (Dataset): Data set with mmengine's ``get_data_info``.
        name (str): Name of the data set in errors.

    Returns:
        np.ndarray: int64 labels of shape (len(dataset), ).

    Raises:
        ValueError: It is empty or a picture has no label.
    """
    if len(dataset) == 0:
        raise ValueError(f'{name} is empty')
    if not hasattr(dataset, 'get_data_info'):
        raise ValueError(f'{name} ({type(dataset).__name__}) cannot tell its '
                         'labels: it has no method get_data_info')
    labels = np.full(len(dataset), -1, dtype=np.int64)
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        label = info.get('gt_label')
        if label is None or np.size(label) != 1 or int(label) < 0:
            raise ValueError(
                f'a labelless data set with kNN on: picture {i} of {name} '
                f'({info.get("img_path", type(dataset).__name__)}) has the '
                f'label {label!r}; give kNN a folder with one subfolder per '
                'class, or take KNNHook out of the config')
        labels[i] = int(label)
    return labels


def choose_share(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Choose a share of every class at random.

    Args:
        labels (np.ndarray): Labels of shape (N, ).
        share (float): Share in (0, 1]; at least one picture of each class.
        seed (int): The same seed chooses the same pictures in every process.

    Returns:
        np.ndarray: Sorted indices.
    """
    if share == 1:
        return np.arange(len(labels))
    generator = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = max(1, round(share * len(members)))
        chosen.append(generator.permutation(members)[:count])
    return np.sort(np.concatenate(chosen))


def translate_labels(
    train: Dataset,
    labels: np.ndarray,
    test: Dataset,
    test_labels: np.ndarray,
    names: Tuple[str, str] = ('train_dataset of KNNHook',
                              'test_dataset of KNNHook'),
    instead: str = ', or leave kNN out with default_hooks.knn=None'
) -> np.ndarray:
    """Translate test labels to the training set's numbering.

    Two folders number their subfolders independently. If one lacks a
    subfolder, equal numbers mean different classes. So classes are matched by
    name if both sets know the names (``metainfo['classes']``).

    Args:
        train (Dataset): Training set.
        labels (np.ndarray): Its labels, shape (N, ).
        test (Dataset): Test set.
        test_labels (np.ndarray): Its labels, shape (Q, ).
        names (tuple[str, str]): Names of the two sets in errors. Defaults to
            those of kNN.
        instead (str): Another way out, which ends the error about a single
            class. Defaults to that of kNN.

    Returns:
        np.ndarray: The test labels in the training set's numbers, (Q, ).

    Raises:
        ValueError: A test class does not occur in training, or there is one
            class only.
    """
    ours = getattr(train, 'metainfo', {}).get('classes')
    if len(np.unique(labels)) == 1:
        # A folder one level too high looks like a single class.
        name = f' ({ours[labels[0]]!r})' if ours else ''
        raise ValueError(
            f'{names[0]} has one class alone{name}, and every '
            'answer would be right; set data_root to the folder that holds '
            f'the class folders{instead}')
    theirs = getattr(test, 'metainfo', {}).get('classes')
    if ours and theirs:
        asked = [theirs[label] for label in test_labels.tolist()]
        known = {ours[label]: label for label in np.unique(labels).tolist()}
        foreign = sorted({str(name) for name in asked if name not in known})
        translated: Integers = [known.get(name, -1) for name in asked]
    else:
        translated = test_labels
        foreign = np.setdiff1d(test_labels, labels).tolist()
    if foreign:
        raise ValueError(
            f'{len(foreign)} class(es) of {names[1]}, {foreign[0]!r} first, '
            f'do not occur in {names[0].partition(" of ")[0]}; give both the '
            'same class folders')
    return np.asarray(translated, dtype=np.int64)
