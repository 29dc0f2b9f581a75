# Copyright (c) caco_ext authors. All rights reserved.
"""Backbones and features in two calls."""
import difflib
import os
import os.path as osp
from typing import Dict, Iterator, Sequence, Union

import numpy as np
import torch
import yaml
from mmengine.utils import mkdir_or_exist
from PIL import Image
from torch import Tensor, nn

from .converters import CheckpointError
from .converters.backbones import build, read_backbone
from .datasets.picture_samples import rgb_samples
from .datasets.pictures import read_picture
from .evaluation import evaluation_mode, pool_features
from .utils.config_files import config_path

# Mean of RGB pictures in 0..255, as in all configs of this package.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
Picture = Union[str, os.PathLike, np.ndarray, Image.Image]


def zoo() -> Dict[str, dict]:
    """Models of the package's zoo.

    Returns:
        dict[str, dict]: Entries of ``configs/selfsup/*/metafile.yml`` by the
        model's name. Those with 'Weights' can be loaded.
    """
    models = {}
    for method in ('adco', 'caco', 'clsa', 'care'):
        with open(
                config_path(f'{method}/metafile.yml'),
                encoding='utf-8') as file:
            for model in yaml.safe_load(file)['Models']:
                models[model['Name']] = model
    return models


def get_model(name_or_path: str,
              part: str = 'backbone',
              trust: bool = False,
              prefix: str = '') -> nn.Module:
    """A pre-trained backbone, ready to use.

    Args:
        name_or_path (str): A checkpoint (of this package or another program,
            see ``docs/checkpoints.md``), its URL, or the name of a model in
            :func:`zoo` that has weights.
        part (str): 'backbone', or 'backbone_k' for the key encoder's.
            Defaults to 'backbone'.
        trust (bool): Also read files that hold more than tensors and plain
            data. This runs any code that they name. Defaults to False.
        prefix (str): Start of the backbone's keys, such as 'teacher.', if the
            file has several backbones. Defaults to ''.

    Returns:
        nn.Module: The hosts' ResNet in evaluation mode, on the CPU. It takes
        normalised RGB pictures (N, 3, H, W) and returns a tuple with the last
        map, (N, C, H/32, W/32). :func:`extract_features` normalises pictures
        and averages maps.

    Raises:
        CheckpointError: The file has no ResNet, or the model no weights.
        FileNotFoundError: There is no such file or model.

    Example:
        >>> model = caco_ext.get_model('work_dirs/caco/epoch_15.pth')
        >>> features = caco_ext.extract_features(model, ['cat.jpg'])
        >>> features.shape
        torch.Size([1, 512])
    """
    path = find_checkpoint(name_or_path)
    return build(read_backbone(path, part, trust, prefix))


def find_checkpoint(name_or_path: Union[str, os.PathLike]) -> str:
    """Find a checkpoint, and download it where it is an address.

    Args:
        name_or_path (str): See :func:`get_model`.

    Returns:
        str: Path of a file.

    Raises:
        CheckpointError: The model has no weights, or they cannot be fetched.
        FileNotFoundError: There is no such file or model.
    """
    name = os.fspath(name_or_path)
    if '://' not in name and not osp.exists(name):
        name = _weights(name)
    return _download(name) if '://' in name else name


def _weights(name: str) -> str:
    """URL or path of the weights of a model of the zoo."""
    models = zoo()
    if name not in models:
        near = difflib.get_close_matches(name, models, 3, 0.5)
        hint = f'; near: {", ".join(near)}' if near else ''
        raise FileNotFoundError(f'{name!r} is neither a file nor a model of '
                                f'the zoo{hint}')
    model = models[name]
    if not model.get('Weights'):
        original = model.get('Metadata', {}).get('Original Checkpoint', '')
        raise CheckpointError(
            f'no weights of {name} are published by this package; of the '
            f"authors' checkpoint the zoo says: {original or 'nothing'}. "
            'A file of theirs can be given in place of the name')
    weights = model['Weights']
    if '://' in weights or osp.isabs(weights):
        return weights
    # The metafiles are beside the configs that they describe.
    metafile = config_path('adco/metafile.yml')
    top = osp.abspath(osp.join(osp.dirname(metafile), '../../..'))
    return osp.join(top, weights)


def _download(url: str) -> str:
    """Fetch a file into torch's cache, once; a hash in its name is checked."""
    folder = osp.join(torch.hub.get_dir(), 'checkpoints')
    mkdir_or_exist(folder)
    path = osp.join(folder, osp.basename(url.split('?')[0]))
    if not osp.isfile(path):
        stem = osp.splitext(osp.basename(path))[0].split('-')[-1]
        is_hash = len(stem) == 8 and set(stem) <= set('0123456789abcdef')
        try:
            torch.hub.download_url_to_file(
                url, path, stem if is_hash else None, progress=False)
        except RuntimeError as error:
            raise CheckpointError(f'{url}: {error}') from error
    return path


@torch.no_grad()
def extract_features(model: nn.Module,
                     images: Union[Tensor, Sequence[Picture]],
                     batch_size: int = 64,
                     normalize: bool = False) -> Tensor:
    """Averaged features of pictures.

    Args:
        model (nn.Module): From :func:`get_model`, or any model that returns
            maps (N, C, h, w) or vectors (N, C). Its mode and device do not
            change.
        images (Tensor | Sequence): A float tensor (N, 3, H, W) of normalised
            RGB pictures, used without changes. Or file names, PIL pictures or
            RGB arrays (H, W, 3) uint8: their short side is scaled to 256, and
            the central 224 x 224 pixels are used.
        batch_size (int): Pictures per batch. Defaults to 64.
        normalize (bool): Make the features unit vectors.
            Defaults to False.

    Returns:
        Tensor: (N, C), float32, on the CPU.

    Raises:
        ValueError: There are no pictures, or one has another form, or is
            broken or has no defined 8-bit range (``BrokenPictureError``).
    """
    if len(images) == 0 or batch_size < 1:
        raise ValueError(f'{len(images)} images with batch_size={batch_size}: '
                         'give at least one of each')
    if isinstance(images, Tensor) and (images.ndim != 4 or images.size(1) != 3
                                       or not images.is_floating_point()):
        raise ValueError(
            f'images is a {images.dtype} tensor {tuple(images.shape)}; give '
            'normalised floats (N, 3, H, W), or a list of RGB arrays')
    device = next(model.parameters()).device
    with evaluation_mode(model):
        return torch.cat([
            pool_features(model(batch.to(device)), normalize).cpu()
            for batch in _batches(images, batch_size)
        ])


def _batches(images: Union[Tensor, Sequence[Picture]],
             size: int) -> Iterator[Tensor]:
    """Batches of normalised pictures."""
    for start in range(0, len(images), size):
        part = images[start:start + size]
        yield part if isinstance(part, Tensor) else torch.stack(
            [_prepare(one) for one in part])


def _prepare(picture: Picture) -> Tensor:
    """One picture as (3, 224, 224)."""
    from torchvision.transforms import functional as T
    if isinstance(picture, (str, os.PathLike)):
        picture = Image.fromarray(read_picture(picture))
    elif isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.shape[2:] != (3, ):
            raise ValueError(f'an image is a {picture.dtype} array '
                             f'{picture.shape}; give RGB (H, W, 3) uint8')
        picture = Image.fromarray(picture)
    elif isinstance(picture, Image.Image):
        picture = Image.fromarray(rgb_samples(picture))
    else:
        raise ValueError(f'an image is a {type(picture).__name__}; give a '
                         'file name, a PIL picture or an RGB array')
    picture = T.center_crop(T.resize(picture, 256), 224)
    pixels = T.pil_to_tensor(picture).float()
    mean, std = (torch.tensor(value)[:, None, None] for value in (MEAN, STD))
    return (pixels - mean) / std
