# Copyright (c) caco_ext authors. All rights reserved.
"""The backbone of any checkpoint."""
from dataclasses import dataclass
from typing import Any, Dict, Mapping

import torch
from torch import Tensor

from .back import method_of
from .files import CheckpointError, read_checkpoint, weights_of
from .library_names import from_detectron2
from .official import identify
from .resnet import Architecture, detect

# Where a checkpoint of this package or of MMSelfSup has each backbone.
_PREFIXES = dict(backbone='backbone.', backbone_k='key_encoder.backbone.')


@dataclass
class Backbone:
    """Weights of a ResNet with torchvision's names, and where from.

    Attributes:
        weights (dict[str, Tensor]): By names without a prefix.
        architecture (Architecture): Depth and widths.
        source (str): What the file is, for people.
        meta (dict): 'method', 'epoch' and the like, where the file tells.
    """
    weights: Dict[str, Tensor]
    architecture: Architecture
    source: str
    meta: Dict[str, Any]


def read_backbone(path: str,
                  part: str = 'backbone',
                  trust: bool = False) -> Backbone:
    """Read the backbone of any checkpoint.

    Args:
        path (str): A checkpoint of this package, MMSelfSup, torchvision or
            detectron2 (in torch's format), or of the authors' programs.
        part (str): 'backbone', or 'backbone_k' for the key encoder's.
            Defaults to 'backbone'.
        trust (bool): See :func:`read_checkpoint`. Defaults to False.

    Returns:
        Backbone: A complete ResNet.

    Raises:
        CheckpointError: The file has no such backbone; says what it has.
    """
    return find_backbone(read_checkpoint(path, trust), path, part)


def find_backbone(content: Any, path: str, part: str = 'backbone') -> Backbone:
    """As :func:`read_backbone`, of a file that is read already.

    Args:
        content (Any): What the file holds.
        path (str): The file, for errors.
        part (str): See :func:`read_backbone`. Defaults to 'backbone'.

    Returns:
        Backbone: A complete ResNet.
    """
    if part not in _PREFIXES:
        raise CheckpointError(f'--part {part}: choose one of '
                              f'{", ".join(_PREFIXES)}')
    names, known = _top_names(content)
    if any(name.startswith(('backbone.', 'key_encoder.')) for name in names):
        state, meta = weights_of(content, path)
        weights = _behind(state, _PREFIXES[part])
        if not weights:
            raise CheckpointError(
                f'{path!r} has no key that begins with {_PREFIXES[part]!r}, '
                f'only {", ".join(sorted({n.split(".")[0] for n in names}))}')
        method = method_of(state)
        source = (f'checkpoint of {method}'
                  if method else 'checkpoint in the layout of OpenMMLab')
        meta = {
            key: meta[key]
            for key in ('method', 'epoch', 'source', 'source_sha256')
            if meta.get(key) is not None
        }
        if method:
            meta['method'] = method
    elif known and part == 'backbone':
        state, _ = weights_of(known, path)
        weights = from_detectron2(state) if 'stem.conv1.weight' in state else {
            name: value
            for name, value in state.items() if not name.startswith('fc.')
        }
        meta = dict(known.get('meta') or {}) if 'state_dict' in known else {}
        source = 'weights of a ResNet alone'
    else:
        official = identify(content, path)
        wanted = _PREFIXES[part]
        weights = {
            target[len(wanted):]: official.state[name]
            for name, target in official.names.items()
            if target.startswith(wanted)
        }
        if not weights:
            raise CheckpointError(f'{path!r} is of a linear probe, which has '
                                  'no key encoder')
        meta = dict(method=official.method, epoch=official.epoch)
        source = f"authors' checkpoint of {official.method}"
    try:
        architecture = detect(weights, 'the backbone')
    except ValueError as error:
        raise CheckpointError(f'{path!r}: {error}') from error
    extra = sorted(set(weights) - set(architecture.shapes()))
    if extra:
        raise CheckpointError(
            f'{path!r}: its backbone is more than a {architecture.name}: '
            f'{", ".join(extra[:4])}')
    meta = {name: value for name, value in meta.items() if value is not None}
    return Backbone({name: weights[name]
                     for name in architecture.shapes()}, architecture, source,
                    meta)


def _top_names(content: Any):
    """Names of the weights, and the content if it is a plain ResNet's."""
    if not isinstance(content, Mapping):
        return [], None
    state = content.get('state_dict', content)
    names = [name for name in state
             if isinstance(name, str)] if isinstance(state, Mapping) else []
    model = content.get('model')
    if isinstance(model, Mapping) and 'stem.conv1.weight' in model:
        return list(model), dict(state_dict=model, meta=content.get('meta'))
    # a linear probe of the authors has its container's other entries
    probe = 'optimizer' in content or 'best_acc1' in content
    plain = {'conv1.weight', 'stem.conv1.weight'} & set(names)
    return names, content if plain and not probe else None


def _behind(state: Mapping[str, Tensor], prefix: str) -> Dict[str, Tensor]:
    """Entries that begin with a prefix, without it."""
    return {
        name[len(prefix):]: value
        for name, value in state.items() if name.startswith(prefix)
    }


def build(backbone: Backbone) -> torch.nn.Module:
    """The hosts' ResNet with the weights, in evaluation mode.

    Args:
        backbone (Backbone): The weights.

    Returns:
        nn.Module: Gives a tuple with the last map, (N, C, H/32, W/32), of
        normalised RGB pictures (N, 3, H, W).
    """
    from mmengine.registry import MODELS
    model = MODELS.build(
        dict(
            type='mmselfsup.ResNet',
            norm_eval=False,
            **backbone.architecture.options()))
    model.load_state_dict(backbone.weights, strict=True)
    model.eval()  # returns nothing
    return model
