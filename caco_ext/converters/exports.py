# Copyright (c) caco_ext authors. All rights reserved.
"""The content of files for other libraries."""
from typing import Any, Dict, Mapping

from .backbones import Backbone
from .files import CheckpointError
from .library_names import library_name, to_detectron2
from .resnet import check_shapes

TARGETS = ('openmmlab', 'torchvision', 'timm', 'detectron2', 'onnx')


def export(backbone: Backbone,
           target: str,
           meta: Mapping[str, Any],
           prefix: str = 'backbone.') -> Dict[str, Any]:
    """The content of a file for another library.

    Args:
        backbone (Backbone): What to export.
        target (str): One of :data:`TARGETS` but 'onnx'.
        meta (Mapping[str, Any]): Goes into the file.
        prefix (str): In front of the keys for 'openmmlab'.
            Defaults to 'backbone.'.

    Returns:
        dict[str, Any]: What to save.

    Raises:
        CheckpointError: The library has no such network.
    """
    weights = backbone.weights
    check_shapes(weights, backbone.architecture.shapes(), 'the backbone')
    meta = dict(meta, target=target)
    if target == 'openmmlab':
        weights = {prefix + name: value for name, value in weights.items()}
        return dict(state_dict=weights, meta=meta)
    if target in ('torchvision', 'timm'):
        meta['model'] = library_name(backbone.architecture, target)
        return dict(state_dict=dict(weights), meta=meta)
    if target == 'detectron2':
        # It fits the names to those of the detector by their endings.
        return dict(
            model=to_detectron2(weights),
            __author__='caco_ext',
            matching_heuristics=True,
            meta=meta)
    raise CheckpointError(f'--to {target}: choose one of '
                          f'{", ".join(TARGETS)}')
