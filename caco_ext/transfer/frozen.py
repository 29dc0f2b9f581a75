"""Features of a frozen backbone, cached on disk for the next probe."""
import hashlib
import json
import os
import os.path as osp
from typing import Any, Dict, Mapping, Optional, Tuple

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
from caco_ext.evaluation.labelled import Integers
from caco_ext.utils.files import write_whole
from .weights import prove, read_pretrained


class FrozenBackbone(nn.Module):
    """Extracts features: a frozen backbone and its normalisation.

    Args:
        path (str): The checkpoint, which also determines the depth.
        data_preprocessor (dict): Config of the host's preprocessor.
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
                dataset: Any,
                pipeline: Any,
                indices: Optional[Integers] = None,
                labels: Optional[Integers] = None,
                cache: Optional[str] = None,
                batch_size: int = 64,
                num_workers: int = 2) -> Tuple[Tensor, Tensor]:
    """Features of pictures, read from a cache on disk if possible.

    All processes must call it, and all get all features. The name of the
    cache file depends on the weights, the pipeline and the list of pictures
    with their labels and sizes. So it is never used for anything else.

    Args:
        model (FrozenBackbone): Extracts the features.
        dataset (Dataset): Labelled data set with ``get_data_info``.
        pipeline (Any): Config of its pipeline.
        indices (Sequence[int], optional): Which pictures to use.
            Defaults to None (all).
        labels (Sequence[int], optional): Their labels. Defaults to None:
            those of the data set.
        cache (str, optional): Folder of the cache. Defaults to None: no
            cache.
        batch_size (int): Pictures per batch and process. Defaults to 64.
        num_workers (int): Loader processes. Defaults to 2.

    Returns:
        tuple[Tensor, Tensor]: float32 features (N, C), not normalised, and
        int64 labels (N, ), on the CPU. Unreadable pictures are left out.
    """
    if indices is None:
        indices = np.arange(len(dataset))
    if labels is None:
        labels = read_labels(dataset)[np.asarray(indices)]
    path = None
    if cache is not None:
        key = _key(model.proof, dataset, pipeline, indices, labels)
        path = osp.join(cache, f'{key}.npz')
        # With several nodes the file may be on the first node's disk only.
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
        # No process may look for the file before it is written.
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


def _key(proof: Dict[str, Any], dataset: Any, pipeline: Any, indices: Integers,
         labels: Integers) -> str:
    """Name of a cache file of features."""
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
