"""The labelled pictures of a kNN evaluation."""
import logging
import os.path as osp
from dataclasses import dataclass
from inspect import signature
from typing import (Any, Dict, Iterator, List, Mapping, Optional, Sequence,
                    Union)

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader, Dataset

from .features import preserve_rng
from .labelled import (build_feature_loader, choose_share, read_labels,
                       translate_labels)
from .nearest import check_knn_options

PARTS = ('train_dataset', 'test_dataset')
# Options of a data set that do not change which pictures it has.
_HOW = ('pipeline', '_scope_', 'with_labels', 'max_broken_share',
        'max_refetch', 'lazy_init', 'serialize_data', 'test_mode')


@dataclass
class KNNPart:
    """The used pictures of one of the two data sets.

    Attributes:
        dataset (Dataset): The data set.
        indices (np.ndarray): Sorted indices of the pictures in it, (N, ).
        labels (np.ndarray): Their labels, in the training set's numbering,
            (N, ).
    """
    dataset: Dataset
    indices: np.ndarray
    labels: np.ndarray

    def describe(self) -> Dict[str, Any]:
        """Which pictures these are.

        Returns:
            dict[str, Any]: ``root``, and the numbers of ``pictures`` and
            ``classes``.
        """
        return dict(
            root=', '.join(map(source_of, leaves(self.dataset))),
            pictures=len(self.indices),
            classes=len(np.unique(self.labels)))


class KNNData:
    """The labelled pictures of a kNN evaluation, built at first use.

    Args:
        train_dataset (dict): Config of the data set to search.
        test_dataset (dict): Config of the data set to classify.
        k (int | Sequence[int]): Number(s) of neighbours. Defaults to 20.
        train_share (float): Share of each training class that is searched.
            Defaults to 1.0.
        seed (int): Chooses the share. Defaults to 0.
        batch_size (int): Pictures that a network sees at a time. Defaults to
            64.
        num_workers (int): Processes that load them. Defaults to 2.
    """

    def __init__(self,
                 train_dataset: dict,
                 test_dataset: dict,
                 k: Union[int, Sequence[int]] = 20,
                 train_share: float = 1.0,
                 seed: int = 0,
                 batch_size: int = 64,
                 num_workers: int = 2) -> None:
        self.configs = dict(zip(PARTS, (train_dataset, test_dataset)))
        self.k = k
        self.train_share = train_share
        self.seed = seed
        self.batch_size = batch_size
        self.num_workers = num_workers
        self._parts: Optional[List[KNNPart]] = None

    @classmethod
    def of_run(cls, cfg: Mapping) -> 'KNNData':
        """The pictures that measure a run, without its hook.

        Args:
            cfg (Mapping): Config of the run.

        Returns:
            KNNData: Those that its KNNHook names.

        Raises:
            ValueError: The config has no KNNHook.
        """
        options = find_knn_options(cfg)
        if options is None:
            raise ValueError('the config of this run has no KNNHook, whose '
                             'data sets the pictures are taken from')
        known = signature(cls).parameters
        return cls(**{k: v for k, v in options.items() if k in known})

    def loader(self, dataset: Dataset, indices: Sequence[int],
               labels: Sequence[int]) -> DataLoader:
        """Load some pictures.

        Args:
            dataset (Dataset): Where they are.
            indices (Sequence[int]): Which, (N, ).
            labels (Sequence[int]): What comes with each, (N, ).

        Returns:
            DataLoader: See :func:`build_feature_loader`.
        """
        return build_feature_loader(dataset, indices, labels, self.batch_size,
                                    self.num_workers)

    @property
    def parts(self) -> List[KNNPart]:
        """list[KNNPart]: Training share and test set; built and checked
        once.

        Raises:
            ValueError: A label is missing, a test class does not occur in
                training, or ``k`` exceeds the training share.
        """
        if self._parts is None:
            self._parts = self._build()
        return self._parts

    def _build(self) -> List[KNNPart]:
        with preserve_rng():
            train, test = map(DATASETS.build, self.configs.values())
        labels, test_labels = (read_labels(dataset, f'{name} of KNNHook')
                               for name, dataset in zip(PARTS, (train, test)))
        test_labels = translate_labels(train, labels, test, test_labels)
        share = choose_share(labels, self.train_share, self.seed)
        shared = count_shared(train, test)
        if shared:
            print_log(
                f'{shared} of the {len(test)} pictures of test_dataset of '
                'KNNHook are in train_dataset too, and are their own nearest '
                'neighbours: give the hook the root that holds both parts, or '
                'two roots', 'current', logging.WARNING)
        most = max(check_knn_options(self.k, 1.))
        if most > len(share):
            raise ValueError(
                f'k={most} neighbours, but train_share={self.train_share} of '
                f'train_dataset of KNNHook leaves {len(share)} pictures; '
                'lower k or raise train_share')
        return [
            KNNPart(train, share, labels[share]),
            KNNPart(test, np.arange(len(test)), test_labels)
        ]

    @property
    def num_classes(self) -> int:
        """int: Classes that a neighbour may have."""
        return len(np.unique(self.parts[0].labels))

    def describe(self) -> Dict[str, Dict[str, Any]]:
        """Which pictures are compared.

        Returns:
            dict[str, dict]: 'train' and 'test', see :meth:`KNNPart.describe`.
        """
        return dict(
            zip(('train', 'test'), (part.describe() for part in self.parts)))

    @property
    def text(self) -> str:
        """str: Which pictures are compared, in one line."""
        return 'kNN: ' + '; '.join(
            f'{name} {one["root"]}, {one["pictures"]} pictures, '
            f'{one["classes"]} classes'
            for name, one in self.describe().items())

    def check(self, training: Dataset) -> bool:
        """Refuse to evaluate a training on own pictures with bundled ones.

        Args:
            training (Dataset): The training data set.

        Returns:
            bool: Whether it has pictures from the same source as the searched
            part.

        Raises:
            ValueError: The training uses other pictures, but a part uses the
                bundled ones. Names both and the way out.
        """
        trained = {source_of(leaf) for leaf in leaves(training)}
        sought = [source_of(leaf) for leaf in leaves(self.parts[0].dataset)]
        known = all(source in trained for source in sought)
        for name, part in zip(PARTS, self.parts):
            if is_bundled(part.dataset) and not known and \
                    not is_bundled(training):
                raise ValueError(
                    f'{name} of KNNHook is the bundled PhotoPatches, and the '
                    f'training has other pictures ({", ".join(trained)}); '
                    'give default_hooks.knn.train_dataset.data_root and '
                    'default_hooks.knn.test_dataset.data_root the same, or '
                    'leave kNN out with default_hooks.knn=None')
        return known


def count_shared(train: Any, test: Any) -> int:
    """Count the pictures that two data sets have in common, by their paths.

    Args:
        train (Dataset): Data set with mmengine's ``get_data_info``.
        test (Dataset): The same.

    Returns:
        int: How many of ``test`` are in ``train``. If the two share no folder,
        list or file, this is 0 without a look at single pictures.
    """
    roots = [{source_of(leaf)
              for leaf in leaves(dataset)} for dataset in (train, test)]
    if not roots[0] & roots[1]:
        return 0
    searched, asked = ([
        dataset.get_data_info(i).get('img_path') for i in range(len(dataset))
    ] for dataset in (train, test))
    known = set(searched) - {None}
    return sum(path in known for path in asked)


def leaves(dataset: Dataset) -> Iterator[Any]:
    """The data sets inside wrappers such as ``ConcatDataset``.

    Args:
        dataset (Dataset): A data set, perhaps a wrapper.

    Yields:
        Dataset: One that reads pictures itself.
    """
    inner = getattr(dataset, 'datasets',
                    None) or [getattr(dataset, 'dataset', None)]
    for one in inner:
        if isinstance(one, Dataset):
            yield from leaves(one)
        else:
            yield dataset


def source_of(dataset: Dataset) -> str:
    """Where a data set's pictures come from.

    Args:
        dataset (Dataset): A data set that is not a wrapper.

    Returns:
        str: The absolute path of its list, folder or file; the name of its
        class if it has none.
    """
    prefix = getattr(dataset, 'data_prefix', None)
    paths = [getattr(dataset, 'ann_file', None)]
    paths += prefix.values() if isinstance(prefix, Mapping) else [prefix]
    paths += [getattr(dataset, name, None) for name in ('data_root', 'root')]
    path = next(filter(None, paths), None)
    if path is None:
        return type(dataset).__name__
    return path if '://' in path else osp.realpath(path)


def is_bundled(dataset: Dataset) -> bool:
    """Whether a data set has only the bundled pictures."""
    return all(getattr(leaf, 'bundled', False) for leaf in leaves(dataset))


def find_knn_options(cfg: Mapping) -> Optional[Dict[str, Any]]:
    """Find the KNNHook that a config names.

    Args:
        cfg (Mapping): Config of a run.

    Returns:
        dict | None: Its options with its type; None without one.
    """
    hooks = list((cfg.get('default_hooks') or {}).values())
    hooks += cfg.get('custom_hooks') or []
    for hook in hooks:
        kind = hook['type'] if hook else None
        if getattr(kind, '__name__', str(kind)).split('.')[-1] == 'KNNHook':
            return hook
    return None


def compare_pictures(own: Config, other: Config) -> str:
    """Describe how the kNN pictures of two configs differ.

    What is done with the pictures (``pipeline``) does not count. If ``own``
    has no KNNHook and ``other`` uses the bundled pictures, the training
    pictures of ``own`` are compared.

    Args:
        own (Config): Config of a run.
        other (Config): Config to measure with; has a KNNHook.

    Returns:
        str: Such as "train_dataset: data_root='a' in place of data_root='b'";
        '' if they are the same.
    """
    mine, theirs = find_knn_options(own), find_knn_options(other) or {}
    differences = []
    for name in PARTS:
        there = _pictures(theirs[name])
        if mine is not None:
            here = _pictures(mine[name])
            same = here == there
        else:
            here = _pictures(own.get('train_dataloader', {})['dataset'])
            same = _is_bundled(here) or not _is_bundled(there)
        if not same:
            differences.append(
                f'{name}: {_text(there)} in place of {_text(here)}')
    return '; '.join(differences)


def _pictures(dataset: Mapping) -> Dict[str, Any]:
    """Options of a data set that decide which pictures it has."""
    what = {
        name: value
        for name, value in dataset.items()
        if name not in _HOW and value not in (None, '')
    }
    what['type'] = getattr(
        what.get('type'), '__name__', str(what.get('type'))).split('.')[-1]
    if 'data_root' in what:
        what['data_root'] = osp.realpath(osp.expanduser(what['data_root']))
    return what


def _is_bundled(pictures: Mapping) -> bool:
    return pictures['type'] == 'PhotoPatches' and not (
        {'data_root', 'ann_file'} & pictures.keys())


def _text(pictures: Mapping) -> str:
    return ', '.join(f'{name}={value!r}' for name, value in pictures.items())
