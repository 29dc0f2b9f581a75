"""Features of a frozen backbone, kept on disk for the next probe."""
import hashlib
import json
import os
import os.path as osp
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.dist import all_gather_object, barrier, is_main_process
from mmengine.logging import print_log
from mmengine.registry import DATASETS, MODELS
from torch import Tensor, nn
from torch.utils.data import Dataset

from caco_ext.converters.backbones import build
from caco_ext.evaluation import (build_feature_loader, features_and_labels,
                                 read_labels)
from caco_ext.utils.files import write_whole
from .weights import prove, read_pretrained


class FrozenBackbone(nn.Module):
    """What features are extracted with: a backbone and its normalisation.

    Args:
        path (str): The checkpoint; the depth follows from it.
        data_preprocessor (dict): Config of the host's.
        part, supervised, trust, prefix: See
            :func:`caco_ext.transfer.load_pretrained`.

    Attributes:
        proof (dict[str, Any]): What was loaded, for ``results.json``.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It has no such backbone.
    """

    def __init__(self,
                 path: str,
                 data_preprocessor: dict,
                 part: str = 'backbone',
                 supervised: bool = False,
                 trust: bool = False,
                 prefix: str = '') -> None:
        super().__init__()
        backbone = read_pretrained(
            path, part, supervised, trust, prefix=prefix)
        self.backbone = build(backbone)
        self.backbone.requires_grad_(False)
        self.width = backbone.architecture.out_channels
        self.data_preprocessor = MODELS.build(data_preprocessor)
        self.proof = prove(backbone, path, part,
                           {'backbone': len(backbone.weights)})


def features_of(model: FrozenBackbone,
                dataset: Dataset,
                pipeline: Any,
                indices: Optional[Sequence[int]] = None,
                labels: Optional[Sequence[int]] = None,
                cache: Optional[str] = None,
                batch_size: int = 64,
                num_workers: int = 2) -> Tuple[Tensor, Tensor]:
    """Features of pictures, from the disk where they are there already.

    All processes must call it; all get everything. The file's name follows
    from the weights, the pipeline and the list of pictures with their labels
    and sizes, so that it never serves for others.

    Args:
        model (FrozenBackbone): Extracts.
        dataset (Dataset): Labelled, with ``get_data_info``.
        pipeline (Any): Config of its pipeline.
        indices (Sequence[int], optional): Which pictures.
            Defaults to None (all).
        labels (Sequence[int], optional): Theirs. Defaults to None: the data
            set's.
        cache (str, optional): Folder for the files. Defaults to None: none.
        batch_size (int): Per process. Defaults to 64.
        num_workers (int): Loader processes. Defaults to 2.

    Returns:
        tuple[Tensor, Tensor]: float32 features (N, C), not normalised, and
        int64 labels (N, ), on the CPU; without pictures that could not be
        read.
    """
    if indices is None:
        indices = np.arange(len(dataset))
    if labels is None:
        labels = read_labels(dataset)[np.asarray(indices)]
    path = None
    if cache is not None:
        key = _key(model.proof, dataset, pipeline, indices, labels)
        path = osp.join(cache, f'{key}.npz')
        # on several nodes it may be on the disk of the first only
        if all(all_gather_object(osp.isfile(path))):
            with np.load(path) as file:
                features, known = file['features'], file['labels']
            print_log(f'features of {len(known)} pictures from {path}',
                      'current')
            return torch.from_numpy(features), torch.from_numpy(known)
    loader = build_feature_loader(dataset, indices, labels, batch_size,
                                  num_workers)
    features, known = features_and_labels(model, loader, normalize=False)
    if path is not None:
        if is_main_process():

            def write(temporary: str) -> None:
                with open(temporary, 'wb') as file:
                    np.savez(
                        file, features=features.numpy(), labels=known.numpy())

            write_whole(path, write)
        # nobody may look for the file before it is there
        barrier()
    return features, known


def build_dataset(cfg: Mapping, name: str) -> Dataset:
    """Build a data set of a tool's config.

    Args:
        cfg (Mapping): The config.
        name (str): 'train_dataset' or 'test_dataset'.

    Returns:
        Dataset: The data set.

    Raises:
        ValueError: The config has none, or it is empty.
    """
    if name not in cfg:
        raise ValueError(f'the config has no {name}')
    dataset = DATASETS.build(cfg[name])
    if len(dataset) == 0:
        raise ValueError(f'{name} is empty')
    return dataset


def _key(proof: Dict[str, Any], dataset: Dataset, pipeline: Any,
         indices: Sequence[int], labels: Sequence[int]) -> str:
    """Name of a file of features."""
    digest = hashlib.sha256()
    what = dict(
        sha256=proof['sha256'],
        part=proof['part'],
        pipeline=pipeline,
        data=type(dataset).__name__)
    digest.update(json.dumps(what, sort_keys=True, default=str).encode())
    for index, label in zip(indices, labels):
        path = str(dataset.get_data_info(int(index)).get('img_path', index))
        size = os.path.getsize(path) if osp.isfile(path) else 0
        line = f'{path}\0{size}\0{label}\n'
        digest.update(line.encode(errors='surrogateescape'))
    return digest.hexdigest()[:32]
