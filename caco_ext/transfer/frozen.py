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

from caco_ext.converters.backbones import Backbone, build, build_network
from caco_ext.converters.resnet import DEPTHS, Architecture
from caco_ext.evaluation import (build_feature_loader, features_and_labels,
                                 read_labels)
from caco_ext.evaluation.labelled import Integers
from caco_ext.utils.files import write_whole
from .weights import prove, read_pretrained

# Names of untrained networks, in place of a checkpoint.
RANDOM = {'random': 50, **{f'random-resnet{depth}': depth for depth in DEPTHS}}
_RANDOM_SEED = 0


def make_random(name: str) -> Tuple[Backbone, Dict[str, Any]]:
    """Make an untrained ResNet, always with the same weights.

    Args:
        name (str): One of ``RANDOM``; 'random' is a ResNet-50.

    Returns:
        tuple[Backbone, dict[str, Any]]: The network, and the proof as of
        :func:`caco_ext.transfer.weights.prove`. Its hash is that of the
        weights.
    """
    architecture = Architecture(RANDOM[name])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_RANDOM_SEED)
        network = build_network(architecture)
        # As its init_weights, which would log every weight.
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight, mode='fan_out', nonlinearity='relu')
    weights = network.state_dict()
    digest = hashlib.sha256()
    for value in weights.values():
        digest.update(value.numpy().tobytes())
    source = f'random weights, seed {_RANDOM_SEED}'
    return Backbone(weights, architecture, source, {}), dict(
        path=name,
        sha256=digest.hexdigest(),
        source=source,
        part='backbone',
        architecture=architecture.name,
        matched={})


class FrozenBackbone(nn.Module):
    """Extracts features: a frozen backbone and its normalisation.

    Args:
        path (str): The checkpoint, which also determines the depth; or a
            name in ``RANDOM`` for an untrained network.
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
        if path in RANDOM:
            backbone, self.proof = make_random(path)
        else:
            backbone = read_pretrained(
                path, part, supervised, trust, prefix=prefix)
            self.proof = prove(backbone, path, part,
                               {'backbone': len(backbone.weights)})
        self.backbone = build(backbone)
        self.backbone.requires_grad_(False)
        self.width = backbone.architecture.out_channels
        self.data_preprocessor = MODELS.build(data_preprocessor)


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
    cache file is that of :func:`features_file`.

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
        name = features_file(model, dataset, pipeline, indices, labels)
        path = osp.join(cache, name)
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


def features_file(model: FrozenBackbone, dataset: Any, pipeline: Any,
                  indices: Integers, labels: Integers) -> str:
    """Name of a cache file of features.

    It depends on the weights, the pipeline, the data set's root and the list
    of pictures with their labels and sizes. Of a container, it depends on the
    size and time of each of its files. So the file is never used for anything
    else.

    Args:
        model (FrozenBackbone): Extracts the features.
        dataset (Dataset): Labelled data set with ``get_data_info``.
        pipeline (Any): Config of its pipeline.
        indices (Sequence[int]): The pictures.
        labels (Sequence[int]): Their labels.

    Returns:
        str: The name.
    """
    digest = hashlib.sha256()
    container = getattr(dataset, 'container', None)
    stats = map(os.stat, container.files() if container else [])
    what = dict(
        sha256=model.proof['sha256'],
        part=model.proof['part'],
        pipeline=pipeline,
        data=type(dataset).__name__,
        root=osp.abspath(getattr(dataset, 'data_root', None) or ''),
        files=[(s.st_size, s.st_mtime_ns) for s in stats])
    digest.update(json.dumps(what, sort_keys=True, default=str).encode())
    for index, label in zip(indices, labels):
        path = str(dataset.get_data_info(int(index)).get('img_path', index))
        size = os.path.getsize(path) if osp.isfile(path) else 0
        line = f'{path}\0{size}\0{label}\n'
        digest.update(line.encode(errors='surrogateescape'))
    return f'{digest.hexdigest()[:32]}.npz'
