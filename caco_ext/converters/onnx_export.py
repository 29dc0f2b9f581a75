# Copyright (c) caco_ext authors. All rights reserved.
"""A backbone as an ONNX file that was run and compared with torch."""
import inspect
import json
from typing import Any, Mapping

import torch
from torch import Tensor, nn

from caco_ext.utils.extras import MissingExtraError, import_extra
from caco_ext.utils.files import write_whole
from .backbones import Backbone, build
from .files import CheckpointError

TOLERANCE = 1e-4
# Of the inputs on which both are compared: batch, height, width.
SIZES = ((1, 224, 224), (3, 64, 96))
OPSET = 17


class _Pooled(nn.Module):
    """The averaged features beside the map."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor):
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
    errors = []

    def write(to: str) -> None:
        options = {}
        if 'dynamo' in inspect.signature(torch.onnx.export).parameters:
            options['dynamo'] = False  # the other one needs more packages
        with torch.no_grad():
            torch.onnx.export(
                model,
                torch.zeros(SIZES[1][0], 3, *SIZES[1][1:]),
                to,
                input_names=['images'],
                output_names=['features', 'map'],
                dynamic_axes=dict(
                    images={
                        0: 'n',
                        2: 'height',
                        3: 'width'
                    },
                    features={0: 'n'},
                    map={
                        0: 'n',
                        2: 'map_height',
                        3: 'map_width'
                    }),
                opset_version=OPSET,
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


def _compare(model: nn.Module, session) -> float:
    """Largest relative difference on random inputs."""
    worst = 0.
    generator = torch.Generator().manual_seed(0)
    for count, height, width in SIZES:
        images = torch.randn(count, 3, height, width, generator=generator)
        with torch.no_grad():
            wanted = model(images)
        got = session.run(['features', 'map'], dict(images=images.numpy()))
        for ours, theirs in zip(wanted, got):
            error = (ours - torch.from_numpy(theirs)).abs().max()
            worst = max(worst, float(error / ours.abs().max()))
    # nan, too, is not below
    if not worst < TOLERANCE:
        raise CheckpointError(
            f'onnxruntime and torch differ by {worst:.1e} of the largest '
            f'value, more than {TOLERANCE}; nothing was written')
    return worst
