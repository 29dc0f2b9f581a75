# Copyright (c) caco_ext authors. All rights reserved.
"""Presets by the number of pictures, and a config's pictures in one go."""
import os.path as osp
from glob import escape, glob
from typing import Any, Dict, Mapping

from .config_files import config_path
from .errors import UsageError

METHODS = ('adco', 'caco', 'clsa', 'care')
# About 1,000, 10,000 and 100,000 pictures.
SIZES = ('small', 'medium', 'large')


def preset_config(method: str, size: str) -> str:
    """Find the config of a method for a number of pictures.

    Args:
        method (str): One of ``METHODS``.
        size (str): One of ``SIZES``.

    Returns:
        str: Path of the config.
    """
    folder = osp.dirname(config_path(f'{method}/metafile.yml'))
    path, = glob(osp.join(escape(folder), f'{method}_*e_{size}.py'))
    return path


def data_options(cfg: Mapping, root: str) -> Dict[str, Any]:
    """Options that give a config's training and its kNN other pictures.

    Args:
        cfg (Mapping): The config.
        root (str): ``data_root`` of :class:`caco_ext.datasets.ImageFolder`.

    Returns:
        dict[str, Any]: Values by dotted name, as ``--cfg-options`` has them.

    Raises:
        UsageError: The config's data set has no ``data_root``.
    """
    names = ['train_dataloader.dataset']
    hooks = cfg.get('default_hooks') or {}
    if hooks.get('knn'):
        names += [
            f'default_hooks.knn.{part}'
            for part in ('train_dataset', 'test_dataset')
        ]
    options: Dict[str, Any] = {}
    for name in names:
        dataset: Any = cfg
        for key in name.split('.'):
            dataset = dataset[key]
        if dataset['type'] not in ('ImageFolder', 'PhotoPatches'):
            raise UsageError(
                f"--data: the config's {name} is a {dataset['type']}, which "
                'has no data_root; take a config with an ImageFolder')
        options[f'{name}.data_root'] = root
        if dataset.get('data_prefix'):
            # The part that the config's own root has under this name.
            options[f'{name}.data_prefix'] = ''
            options[f'{name}.split'] = 'train'
    return options
