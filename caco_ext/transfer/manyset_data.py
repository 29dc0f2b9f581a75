"""Small data sets of the transfer table: where they are, how they divide."""
import os.path as osp
from typing import Any, Dict, List, NamedTuple, Optional, Set

import numpy as np
from mmengine.registry import DATASETS

from caco_ext.datasets.containers import TorchvisionSource
from caco_ext.evaluation import read_labels, translate_labels


class SmallSet(NamedTuple):
    """A data set of the table.

    Attributes:
        source (str): Its class in ``torchvision.datasets``.
        metric (str): What papers report, 'top1' or 'mean_class'.
    """
    source: str
    metric: str = 'top1'


# Metrics as in Kornblith et al. (2019) and appendix B.8 of SimCLR.
SETS: Dict[str, SmallSet] = dict(
    cifar10=SmallSet('CIFAR10'),
    cifar100=SmallSet('CIFAR100'),
    dtd=SmallSet('DTD'),
    aircraft=SmallSet('FGVCAircraft', 'mean_class'),
    cars=SmallSet('StanfordCars'),
    pets=SmallSet('OxfordIIITPet', 'mean_class'),
    flowers=SmallSet('Flowers102', 'mean_class'),
    sun397=SmallSet('SUN397'),
    food101=SmallSet('Food101'),
    caltech101=SmallSet('Caltech101', 'mean_class'))
# Training pictures of each class of Caltech101, and the seed of their choice.
CALTECH_TRAIN, CALTECH_SEED = 30, 0
# torchvision takes a folder SUN397 for the complete pictures, so the lists
# cannot be there.
SUN_FOLDER = 'sun397_partitions'
SUN_LISTS = dict(train='Training_01.txt', test='Testing_01.txt')
SUN_URL = 'https://vision.princeton.edu/projects/2010/SUN/download/' \
    'Partitions.zip'


class Part(NamedTuple):
    """Labelled pictures.

    Attributes:
        dataset (Dataset): Where they are.
        indices (np.ndarray): Which of them, (N, ).
        labels (np.ndarray): Their labels, in the numbering of the training
            part, (N, ).
    """
    dataset: Any
    indices: np.ndarray
    labels: np.ndarray


class Parts(NamedTuple):
    """The parts of a data set.

    Attributes:
        train (Part): To train on.
        val (Part, optional): To choose the penalty on; None where the data
            set has no such part.
        test (Part): To measure on.
        split (str): How the data set was divided, in words.
    """
    train: Part
    val: Optional[Part]
    test: Part
    split: str


def default_root(name: str, folder: str) -> str:
    """The ``data_root`` of a data set that torchvision has.

    Args:
        name (str): One of ``SETS``.
        folder (str): Where its files are or should go.

    Returns:
        str: Such as 'torchvision:DTD:data'.
    """
    return f'torchvision:{SETS[name].source}:{osp.expanduser(folder)}'


def open_parts(name: str, root: str, pipeline: list) -> Parts:
    """Open the parts of a data set.

    Args:
        name (str): One of ``SETS``, or any other name.
        root (str): Its ``data_root``, see :class:`ImageFolder`.
        pipeline (list): Pipeline of the pictures.

    Returns:
        Parts: Training, validation and test pictures.

    Raises:
        FileNotFoundError: Files are missing.
        ValueError: It has no parts or no labels, or the parts do not have the
            same classes.
    """
    train = _build(root, 'train', pipeline, lazy_init=True)
    divided = train.val_share is None
    if name == 'caltech101' and not divided:
        return _caltech(_build(root, '', pipeline))
    if name == 'sun397' and isinstance(train.container, TorchvisionSource):
        return _sun397(root, train.container.options['root'], pipeline)
    train.full_init()  # a root that is missing says so
    if divided:
        return _published(train, root, pipeline)
    raise ValueError(
        f'{root!r} has no parts; make folders or files train and test (and '
        'val, if there is one) of it')


def _build(root: str, split: str, pipeline: list, **options: Any) -> Any:
    """A labelled part of a root."""
    return DATASETS.build(
        dict(
            type='ImageFolder',
            data_root=root,
            split=split,
            with_labels=True,
            pipeline=pipeline,
            **options))


def _published(train: Any, root: str, pipeline: list) -> Parts:
    """Parts that the data set has itself."""
    labels = read_labels(train)

    def measured(dataset: Any, name: str) -> Part:
        """A part with the labels of the training part."""
        translated = translate_labels(
            train,
            labels,
            dataset,
            read_labels(dataset),
            names=(f'the training part of {root!r}', name),
            instead='')
        return Part(dataset, np.arange(len(dataset)), translated)

    val, test = (_build(root, split, pipeline) for split in ('val', 'test'))
    # Where there is no other, the test part also serves as 'val'.
    has_val = _paths(val) != _paths(test)
    return Parts(
        Part(train, np.arange(len(train)), labels),
        measured(val, 'the validation part') if has_val else None,
        measured(test, 'the test part'),
        'train, val, test' if has_val else 'train, test')


def _paths(dataset: Any) -> List[str]:
    return [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]


def _divided(dataset: Any, labels: np.ndarray, train: np.ndarray,
             test: np.ndarray, split: str) -> Parts:
    """Parts of one data set, by the indices of their pictures."""
    return Parts(
        Part(dataset, train, labels[train]), None,
        Part(dataset, test, labels[test]), split)


def _caltech(dataset: Any) -> Parts:
    """A fixed number of training pictures of each class; the rest for test."""
    labels = read_labels(dataset)
    generator = np.random.default_rng(CALTECH_SEED)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) <= CALTECH_TRAIN:
            raise ValueError(
                f'class {dataset.metainfo["classes"][label]!r} of '
                f'{dataset.data_root!r} has {len(members)} pictures; '
                f'{CALTECH_TRAIN} for training leave none for the test')
        chosen.append(generator.permutation(members)[:CALTECH_TRAIN])
    train = np.sort(np.concatenate(chosen))
    test = np.setdiff1d(np.arange(len(labels)), train)
    return _divided(
        dataset, labels, train, test,
        f'{CALTECH_TRAIN} of each class at random (seed {CALTECH_SEED}), '
        'the rest for the test')


def _sun397(root: str, folder: str, pipeline: list) -> Parts:
    """The first of the ten published divisions, which are lists of files."""
    # First, as torchvision may fetch 37 GB of pictures.
    wanted = {
        part: _read_list(osp.join(folder, SUN_FOLDER, name))
        for part, name in SUN_LISTS.items()
    }
    dataset = _build(root, '', pipeline)
    files = dataset.container.files()
    rows: Dict[str, List[int]] = dict(train=[], test=[])
    for i in range(len(dataset)):
        file = files[dataset.get_data_info(i)['index_in_container']]
        name = '/' + osp.relpath(file, osp.join(folder, 'SUN397'))
        for part in rows:
            if name in wanted[part]:
                rows[part].append(i)
    for part, found in rows.items():
        if len(found) != len(wanted[part]):
            raise FileNotFoundError(
                f'{len(wanted[part]) - len(found)} of the '
                f'{len(wanted[part])} pictures of {SUN_LISTS[part]} are not '
                f'in {root!r}; unpack SUN397.tar.gz there again')
    return _divided(dataset, read_labels(dataset), np.array(rows['train']),
                    np.array(rows['test']), 'first published division')


def _read_list(path: str) -> Set[str]:
    """Lines such as '/a/abbey/sun_aaaulhwrhqgejnyt.jpg'."""
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'the lists of SUN397 are missing: {path!r}; unpack {SUN_URL} '
            f'into {osp.dirname(path)!r}')
    with open(path, encoding='utf-8') as file:
        return {line.strip() for line in file if line.strip()}
