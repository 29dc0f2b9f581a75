"""Pictures of a folder or a list, for training without labels."""
import logging
import os.path as osp
from typing import Any, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from caco_ext.utils.text import first_of
from .containers import Container, choose_classes, is_container, open_container
from .formats import EXTENSIONS
from .lists import ANNOTATIONS, read_annotations, read_classes, read_list
from .parts import SPLITS, check_classes, is_measured_on, locate_split
from .replacing import ReplacingDataset, check_share
from .shards import data_folder, shards_in
from .sources import Source, scan_folder
from .splits import hold_out, keep_fraction


def _are_folders(root: str, classes: Optional[Sequence[str]]) -> bool:
    """Whether a root holds a folder for each chosen class. Then these folders
    are classes, even if they are named like parts."""
    return classes is not None and all(
        osp.isdir(osp.join(root, name)) for name in classes)


def _choose_part(root: str, prefix: Mapping[str, str],
                 split: str) -> Tuple[str, Mapping[str, str], bool]:
    """Find the part of a root for a split.

    Returns ``data_root``, ``data_prefix``, and whether the root has parts.
    """
    inner = osp.join(root, prefix['img_path']) if prefix['img_path'] else root
    inner = data_folder(inner)
    path, divided = locate_split(inner, split)
    if divided:
        # a part may be a folder of shards
        return shards_in(path, False) or path, dict(img_path=''), True
    if split:
        path, divided = locate_split(root, split)
        if divided:
            return path, prefix, True
    shards = shards_in(inner, split == 'all')
    if shards:
        return shards, dict(img_path=''), False
    return root, prefix, False


@DATASETS.register_module()
class ImageFolder(ReplacingDataset):
    """Pictures of a folder, a text list or an LMDB file.

    If all pictures of a folder lie in subfolders, these are the labels.
    Otherwise there are no labels (``gt_label`` is -1); pre-training needs
    none. Pictures that cannot be read are replaced, see
    :class:`ReplacingDataset`.

    Args:
        data_root (str): A folder, a text file with a line 'path' or
            'path label' per picture, or an ``.lmdb`` file made by
            ``tools/dataset_converters/pack.py``. Defaults to ''.
        ann_file (str): A text list, relative to ``data_root``. Defaults to
            '' (none).
        data_prefix (str | dict): Where the pictures are, relative to
            ``data_root``. A dict has it under ``img_path``. Defaults to ''.
        split (str): Which part of ``data_root`` to use. A root has parts if
            it has a subfolder, ``.lmdb`` or ``.txt`` named 'train' (or
            'Training', 'train2017', ...) and one named 'val' ('valid', 'dev',
            ...) or 'test'. Then 'train', 'val' (else test) and 'test' (else
            val) use these, '' uses the training part, and 'all' everything,
            without labels unless ``with_labels=True``. In a root without
            parts, '' uses everything, 'val' uses ``val_share`` of each class
            and 'train' the rest. If such a root is itself named 'val' or
            'test', 'val' uses all of it. Defaults to ''.
        val_share (float): Share of each class held out as 'val' in a root
            without parts. With 0, 'train' gets everything. Defaults to 0.1.
        extensions (Sequence[str]): Endings of picture files. Defaults to
            those of all formats that are read.
        classes (str | Sequence[str], optional): Class folders to use, in
            label order, or names for the labels of a list. A string is a text
            file with one name per line. Defaults to None (all).
        with_labels (bool, optional): True demands labels, False ignores them,
            None uses them if there are any. Defaults to None.
        fraction (float): Share of each class to use, at least one picture.
            For kNN, part of a large training set is enough. Defaults to 1.0.
        fraction_seed (int): Seed that chooses the share. Defaults to 0.
        **kwargs: ``max_broken_share`` and ``max_refetch``, see
            :class:`ReplacingDataset`, and arguments of
            :class:`mmengine.dataset.BaseDataset` (``pipeline``, ``metainfo``,
            ``indices``, ``lazy_init``, ...).

    Raises:
        FileNotFoundError: If the folder, the list or a listed file is missing.
        ValueError: If there are no pictures, or no labels as demanded.
        RuntimeError: While loading, if too many pictures are broken.

    Example:
        >>> data = ImageFolder('photos', pipeline=[dict(type='LoadImage')])
        >>> data[0]['img'].shape
        (480, 640, 3)
    """

    def __init__(self,
                 data_root: str = '',
                 ann_file: str = '',
                 data_prefix: Union[str, Mapping[str, str]] = '',
                 split: str = '',
                 val_share: float = 0.1,
                 extensions: Sequence[str] = EXTENSIONS,
                 classes: Union[None, str, Sequence[str]] = None,
                 with_labels: Optional[bool] = None,
                 fraction: float = 1.0,
                 fraction_seed: int = 0,
                 **kwargs: Any) -> None:
        check_share('fraction', fraction)
        if not 0 <= val_share < 1:
            raise ValueError('val_share must be at least 0 and below 1, got '
                             f'{val_share}')
        prefix = data_prefix if isinstance(data_prefix, Mapping) else dict(
            img_path=data_prefix)
        if set(prefix) != {'img_path'}:
            raise ValueError("data_prefix must be a path or dict(img_path="
                             f"'path'), got {data_prefix}")
        data_root = osp.expanduser(data_root)
        if not data_root and not ann_file:
            raise ValueError('data_root is empty; set it to a folder of '
                             'pictures, an image list or an .lmdb file')
        self.classes = read_classes(classes)
        divided = False
        if not (ann_file or is_container(data_root)
                or _are_folders(data_root, self.classes)):
            data_root, prefix, divided = _choose_part(data_root, prefix, split)
        self.container = None if ann_file else self._open(data_root, split)
        if self.container is not None and prefix['img_path']:
            raise ValueError(
                f'data_prefix={prefix["img_path"]!r} means nothing in '
                f"data_root={data_root!r}; set data_prefix='', and split for "
                'the part')
        divided = divided or bool(self.container and self.container.part)
        if split not in SPLITS and not divided:
            raise ValueError(
                f'split={split!r} is no part of {ann_file or data_root!r}; '
                f'it must be one of {SPLITS}')
        # The user named this part itself, and not the root that holds it.
        itself = not divided and split in ('val', 'test') and is_measured_on(
            ann_file or prefix['img_path'] or data_root)
        if split == 'test' and not (divided or itself):
            raise ValueError(
                f"{data_root!r} has no part for split='test'; split='val' "
                'holds out a share of each class')
        if self.container is None and osp.isfile(data_root):
            if ann_file:
                raise ValueError(f'data_root {data_root!r} is a file; with '
                                 f'ann_file={ann_file!r} it must be a folder')
            data_root, ann_file = osp.split(osp.abspath(data_root))
        # The share held out as 'val'; None if the source is already one part.
        held_out = split in ('train', 'val') and not divided and not itself
        self.val_share = val_share if held_out else None
        self.split = split
        self.extensions = tuple(e.lower() for e in extensions)
        self.with_labels = False if split == 'all' and with_labels is None \
            else with_labels
        self.fraction = fraction
        self.fraction_seed = fraction_seed
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=dict(prefix),
            **kwargs)

    def _open(self, root: str, split: str) -> Optional[Container]:
        """Open a root that is a container; None for other roots."""
        return open_container(root, split)

    def _read_source(self) -> Source:
        """Paths, labels and class names of the source."""
        options = (self.extensions, self.with_labels, self.classes)
        folder = self.data_prefix['img_path']
        if self.ann_file:
            return read_list(self.ann_file, folder, *options)
        if self.container is not None:
            contents = choose_classes(
                self.container.contents(self.with_labels is not False),
                self.data_root, self.with_labels, self.classes)
            if self.classes is None:
                check_classes(contents.names, contents.paths, self.data_root)
            return contents
        if self.with_labels is not False and osp.isfile(
                osp.join(folder, ANNOTATIONS)):
            return read_annotations(folder)
        return scan_folder(folder, *options, divided=self.split == 'all')

    def load_data_list(self) -> List[dict]:
        """Collect the pictures.

        Returns:
            list[dict]: ``img_path`` and ``gt_label`` of each picture; from a
            container also ``index_in_container``.
        """
        source = self.ann_file or self.data_prefix['img_path']
        paths, labels, names = self._read_source()
        if not paths:
            raise ValueError(
                f'no pictures in {source!r} (looked for files ending in '
                f'{", ".join(self.extensions)}); set data_root to the folder '
                'that holds them, or extensions to the endings that they have')
        empty = sorted(set(range(len(names))) - set(labels))
        classes = np.asarray(labels)
        if empty:
            print_log(
                f'{len(empty)} of {len(names)} classes of {source!r} have no '
                f'pictures: {first_of((names[k] for k in empty), 5)}',
                'current', logging.WARNING)
        keep = np.flatnonzero(classes > -2)  # -2: unused class
        if self.val_share is not None:
            keep = keep[hold_out(classes[keep], self.val_share, self.split)]
            print_log(
                f"{source!r} has no parts: split={self.split!r} takes "
                f'{len(keep)} of its {(classes > -2).sum()} pictures '
                f'(val_share={self.val_share})', 'current')
        keep = keep_fraction(keep, classes, self.fraction, self.fraction_seed)
        if not len(keep):
            raise ValueError(
                f'nothing of {source!r} is left for split={self.split!r}; set '
                'val_share above 0 and have several pictures in each class')
        self._metainfo.setdefault('classes', tuple(names))
        items = [dict(img_path=paths[i], gt_label=labels[i]) for i in keep]
        if self.container is not None:
            for i, item in zip(keep.tolist(), items):
                item['index_in_container'] = i
        return items

    def _join_prefix(self) -> None:
        if self.container is not None:  # mmengine may not know an address
            self.data_prefix = dict(img_path=self.data_root)
            return
        super()._join_prefix()
        self.data_prefix = {
            key: osp.normpath(osp.expanduser(path))
            for key, path in self.data_prefix.items()
        }

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline on one picture."""
        info = self.get_data_info(idx)
        if self.container is not None:
            info.update(
                self.container.load(
                    info.pop('index_in_container'), info['img_path']))
        return self.pipeline(info)
