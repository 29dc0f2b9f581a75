# Copyright (c) caco_ext authors. All rights reserved.
"""A backbone as a file for other libraries."""
import inspect
import json
from typing import Any, Dict, Mapping, Tuple

import torch
from torch import Tensor, nn

from caco_ext.utils.checkpoints import CheckpointError
from caco_ext.utils.extras import MissingExtraError, import_extra
from caco_ext.utils.files import write_whole
from .backbones import Backbone, build
from .resnet import LIBRARY_NAMES, check_shapes, to_detectron2

TARGETS = ('openmmlab', 'torchvision', 'timm', 'detectron2', 'onnx')
# Largest difference between onnxruntime and torch, of the largest value.
_TOLERANCE = 1e-4
# Of the inputs on which both are compared: batch, height, width.
_SIZES = ((1, 224, 224), (3, 64, 96))


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
    weights, architecture = dict(backbone.weights), backbone.architecture
    check_shapes(weights, architecture.shapes(), 'the backbone')
    meta = dict(meta, target=target)
    if target == 'openmmlab':
        weights = {prefix + name: value for name, value in weights.items()}
    elif target in ('torchvision', 'timm'):
        if architecture not in LIBRARY_NAMES:
            raise CheckpointError(
                f'{target} has no model of the size of {architecture.name}; '
                f'it has {", ".join(LIBRARY_NAMES.values())}')
        meta['model'] = LIBRARY_NAMES[architecture]
    elif target == 'detectron2':
        # It fits the names to those of the detector by their endings.
        return dict(
            model=to_detectron2(weights),
            __author__='caco_ext',
            matching_heuristics=True,
            meta=meta)
    else:
        raise CheckpointError(f'--to {target}: choose one of '
                              f'{", ".join(TARGETS)}')
    return dict(state_dict=weights, meta=meta)


class _Pooled(nn.Module):
    """The averaged features beside the map."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tuple[Tensor, Tensor]:
        """(N, 3, H, W) to (N, C) and (N, C, H/32, W/32)."""
        last = self.backbone(images)[-1]
        return last.mean((2, 3)), last


def export_onnx(backbone: Backbone, path: str, meta: Mapping[str,
                                                             Any]) -> float:
    """Write an ONNX file and compare it with torch.

    Inputs: 'images', normalised RGB, (N, 3, H, W) of any size. Outputs:
    'features' (N, C), averaged, and 'map' (N, C, H/32, W/32).

    Args:
        backbone (Backbone): What to export.
        path (str): The file; nothing is written when the comparison fails.
        meta (Mapping[str, Any]): Goes into the file.

    Returns:
        float: Largest difference between onnxruntime and torch, relative to
        the largest value.

    Raises:
        CheckpointError: A package is missing, or the two differ.
    """
    try:
        onnx = import_extra('onnx', 'export', '--to onnx')
        onnxruntime = import_extra('onnxruntime', 'export', '--to onnx')
    except MissingExtraError as error:
        raise CheckpointError(str(error)) from error
    model = _Pooled(build(backbone)).eval()
    options, errors = {}, []
    if 'dynamo' in inspect.signature(torch.onnx.export).parameters:
        options['dynamo'] = False  # the other one needs more packages

    def write(to: str) -> None:
        with torch.no_grad():
            torch.onnx.export(
                model,
                torch.zeros(3, 3, 64, 96),
                to,
                input_names=['images'],
                output_names=['features', 'map'],
                dynamic_axes=dict(
                    images=dict(zip((0, 2, 3), ('n', 'height', 'width'))),
                    features={0: 'n'},
                    map=dict(zip((0, 2, 3),
                                 ('n', 'map_height', 'map_width')))),
                opset_version=17,
                **options)
        graph = onnx.load(to)
        onnx.checker.check_model(graph)
        onnx.helper.set_model_props(graph, {
            key: json.dumps(value)
            for key, value in meta.items()
        })
        onnx.save(graph, to)
        session = onnxruntime.InferenceSession(
            to, providers=['CPUExecutionProvider'])
        errors.append(_compare(model, session))

    write_whole(path, write)
    return errors[0]


def _compare(model: nn.Module, session: Any) -> float:
    """Largest relative difference on random inputs."""
    worst = 0.
    generator = torch.Generator().manual_seed(0)
    for count, height, width in _SIZES:
        images = torch.randn(count, 3, height, width, generator=generator)
        with torch.no_grad():
            wanted = model(images)
        got = session.run(['features', 'map'], dict(images=images.numpy()))
        for ours, theirs in zip(wanted, got):
            error = (ours - torch.from_numpy(theirs)).abs().max()
            worst = max(worst, float(error / ours.abs().max()))
    # nan, too, is not below
    if not worst < _TOLERANCE:
        raise CheckpointError(
            f'onnxruntime and torch differ by {worst:.1e} of the largest '
            f'value, more than {_TOLERANCE}; nothing was written')
    return worst
