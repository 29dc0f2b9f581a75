"""A hook that finds faults of a benchmark's data before the first step."""
import functools
import os
import os.path as osp
import sys
from typing import Any, Dict, List, Set, Tuple

import numpy as np
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from caco_ext.datasets.parts import part_folders
from caco_ext.evaluation.knn_data import leaves
from caco_ext.utils.models import unwrap_model
from caco_ext.utils.text import first_of

# Heads that predict the data set's classes; an RPN does not.
_HEADS = ('head', 'bbox_head', 'mask_head', 'decode_head', 'auxiliary_head')
_FILES = ('img_path', 'seg_map_path')
# Number of masks to read; reading all would take minutes.
_MASKS = 16


@HOOKS.register_module()
class DataCheckHook(Hook):
    """Compare data, head and disk before a benchmark trains.

    Checks for the training and the validation set:

    - it is not empty;
    - it has as many classes as the heads;
    - no label exceeds the classes; in segmentation, in 16 masks of the set;
    - a COCO annotation file has all classes of the data set;
    - every listed picture and mask is on the disk. Each folder is listed
      once, which is quick even on a network drive.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        # Now, as data sets are built before the first hook is called.
        if 'mmseg' in sys.modules:
            explain_missing_folder()

    def before_train(self, runner: Runner) -> None:
        """Check all data sets of a run."""
        model = unwrap_model(runner.model)
        loaders = [('train_dataloader', runner.train_dataloader)]
        if runner._val_loop is not None:
            loaders.append(('val_dataloader', runner.val_dataloader))
        folders: Dict[str, Set[str]] = {}
        for name, loader in loaders:
            for dataset in leaves(loader.dataset):
                where = f'{name}: {type(dataset).__name__}'
                if len(dataset) == 0:
                    raise ValueError(
                        f'{where} is empty: its annotation lists nothing '
                        'that is used; do its class names differ from '
                        'those of the data set?')
                heads = find_heads(model)
                check_classes(dataset, heads, where)
                check_items(dataset, heads, where, folders)
                check_masks(dataset, where)


def explain_missing_folder() -> None:
    """Let mmsegmentation's VOC data set name the folder that is missing.

    Its constructor asserts that the folder exists, without a message.
    """
    from mmseg.datasets import PascalVOCDataset
    plain = PascalVOCDataset.__init__
    if hasattr(plain, 'caco_ext'):
        return

    @functools.wraps(plain)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            plain(self, *args, **kwargs)
        except AssertionError as error:
            folder = getattr(self, 'data_prefix', {}).get('img_path', '')
            if not folder or '://' in folder or osp.isdir(folder):
                raise  # another error, or the data are not on this disk
            raise FileNotFoundError(
                f'{type(self).__name__}: there is no folder {folder!r}; '
                'data_root of the data set names the folder above it'
            ) from error

    setattr(init, 'caco_ext', True)
    PascalVOCDataset.__init__ = init


def find_heads(model: nn.Module) -> List[Tuple[str, int]]:
    """Heads of a model that predict classes.

    Args:
        model (nn.Module): A model of mmcls, mmselfsup, mmdet or mmseg.

    Returns:
        list[tuple[str, int]]: Name and number of classes.
    """
    return [(f'model.{name}', module.num_classes)
            for name, module in model.named_modules()
            if name.split('.')[-1] in _HEADS
            and isinstance(getattr(module, 'num_classes', None), int)]


def check_classes(dataset: Any, heads: List[Tuple[str, int]],
                  where: str) -> None:
    """Compare the classes of a data set with heads and annotation file.

    Args:
        dataset (Dataset): The data set.
        heads (list[tuple[str, int]]): From :func:`find_heads`.
        where (str): Name of the data set in errors.

    Raises:
        ValueError: They differ, or classes are parts of a data set.
    """
    # Class folders, as the hosts' data sets found them.
    parts = part_folders(list(getattr(dataset, 'folder_to_idx', ())))
    if parts:
        raise ValueError(
            f'{where} takes the folders {first_of(parts)} for classes, which '
            'are named like parts of a data set; set data_root and '
            'data_prefix to one part')
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    if not classes:
        return
    for name, count in heads:
        if count != len(classes):
            raise ValueError(
                f'{where} has {len(classes)} classes ({first_of(classes)}) '
                f'and {name}.num_classes is {count}; change num_classes of '
                'the head, or metainfo.classes of the data set')
    present = getattr(dataset, 'cat_ids', None)
    if isinstance(present, list) and len(present) != len(classes):
        raise ValueError(
            f'{where}: {dataset.ann_file} has {len(present)} of the '
            f'{len(classes)} classes ({first_of(classes)}); give its own '
            'classes in metainfo.classes, and their number to the head')


def check_items(dataset: Any, heads: List[Tuple[str, int]], where: str,
                folders: Dict[str, Set[str]]) -> None:
    """Check labels and files of all items of a data set.

    Args:
        dataset (Dataset): The data set.
        heads (list[tuple[str, int]]): From :func:`find_heads`.
        where (str): Name of the data set in errors.
        folders (dict[str, set[str]]): Folder listings so far; new ones are
            added.

    Raises:
        ValueError: A label exceeds the classes.
        FileNotFoundError: Files are missing.
    """
    if not hasattr(dataset, 'get_data_info'):
        return
    missing = []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        label = info.get('gt_label')
        for name, count in heads:
            if isinstance(label, int) and label >= count:
                raise ValueError(
                    f'{where}: {info.get("img_path")} has the label {label}, '
                    f'and {name}.num_classes is {count}: labels count from 0')
        missing += [
            info[key] for key in _FILES
            if info.get(key) and not _exists(str(info[key]), folders)
        ]
    if missing:
        raise FileNotFoundError(
            f'{where}: {len(missing)} of the files that its annotation lists '
            f'are not on the disk: {first_of(missing)}')


def check_masks(dataset: Any, where: str) -> None:
    """Read some masks as training will, and check their labels.

    Args:
        dataset (Dataset): The data set. It is skipped unless its pipeline
            loads a mask of classes.
        where (str): Name of the data set in errors.

    Raises:
        ValueError: A mask has a label that is no class, or no labels.
    """
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', [])
    load = [step for step in steps if type(step).__name__ == 'LoadAnnotations']
    if not load or not dataset.get_data_info(0).get('seg_map_path'):
        return
    count = len(dataset.metainfo['classes'])
    chosen = np.linspace(0, len(dataset) - 1, min(_MASKS, len(dataset)))
    for index in chosen.astype(int):
        info = dataset.get_data_info(int(index))
        mask = load[0](info)['gt_seg_map']
        if mask.ndim != 2:
            raise ValueError(
                f'{where}: {info["seg_map_path"]} is a picture of colours, '
                'not a mask with a class for each pixel')
        beyond = np.setdiff1d(mask, [*range(count), dataset.ignore_index])
        if len(beyond):
            raise ValueError(
                f'{where}: {info["seg_map_path"]} has the labels '
                f'{first_of(beyond)}, and there are {count} classes, from 0 '
                f'to {count - 1}, and {dataset.ignore_index} for none')


def _exists(path: str, folders: Dict[str, Set[str]]) -> bool:
    """Whether a file exists; assumed for remote files and archives."""
    if '://' in path:
        return True
    folder, name = osp.split(path)
    if folder not in folders:
        folders[folder] = set(os.listdir(folder or '.')) if osp.isdir(
            folder or '.') else set()
    # If the pictures are in an LMDB, the parent is a file.
    return name in folders[folder] or osp.isfile(folder)
