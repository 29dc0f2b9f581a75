# Copyright (c) caco_ext authors. All rights reserved.
"""Export checkpoints: to other libraries, ONNX, and the model zoo."""
import hashlib
import inspect
import io
import json
import os.path as osp
import re
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

import torch
import yaml
from mmengine.config import Config
from torch import Tensor, nn

from caco_ext.utils.checkpoints import CheckpointError, read_checkpoint
from caco_ext.utils.extras import MissingExtraError, import_extra
from caco_ext.utils.files import check_output, write_whole
from .backbones import Backbone, build, find_backbone
from .files import provenance, serialize, weights_of
from .key_maps import METHODS
from .official import TITLES
from .resnet import LIBRARY_NAMES, to_detectron2

TARGETS = ('openmmlab', 'torchvision', 'timm', 'detectron2', 'onnx')
# Largest difference between onnxruntime and torch, relative to the maximum.
_TOLERANCE = 1e-4
# Shapes of the inputs on which both are compared.
_SIZES = ((1, 3, 224, 224), (3, 3, 64, 96))


def export(backbone: Backbone,
           target: str,
           meta: Mapping[str, Any],
           prefix: str = 'backbone.') -> Dict[str, Any]:
    """The content of a file for another library.

    Args:
        backbone (Backbone): What to export.
        target (str): One of :data:`TARGETS` but 'onnx'.
        meta (Mapping[str, Any]): Meta data to store in the file.
        prefix (str): Prefix of the keys for 'openmmlab'.
            Defaults to 'backbone.'.

    Returns:
        dict[str, Any]: Content of the file.

    Raises:
        CheckpointError: The library has no such network.
    """
    weights, architecture = dict(backbone.weights), backbone.architecture
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
        if architecture.stem_kernel != 7:
            raise CheckpointError(
                f'{target} has no {architecture.name}: its stem is 7x7')
        # detectron2 matches these names to the detector's by their endings.
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
    """Returns the averaged features and the map."""

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
        path (str): The file. It is not written if the comparison fails.
        meta (Mapping[str, Any]): Meta data to store in the file.

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
    buffer = io.BytesIO()
    options: Dict[str, Any] = dict(f=buffer)
    if 'dynamo' in inspect.signature(torch.onnx.export).parameters:
        options['dynamo'] = False  # the other exporter needs more packages
    with torch.no_grad():
        torch.onnx.export(
            model, (torch.zeros(_SIZES[1]), ),
            input_names=['images'],
            output_names=['features', 'map'],
            dynamic_axes=dict(
                images=dict(zip((0, 2, 3), ('n', 'height', 'width'))),
                features={0: 'n'},
                map=dict(zip((0, 2, 3), ('n', 'map_height', 'map_width')))),
            opset_version=17,
            **options)
    graph = onnx.load_from_string(buffer.getvalue())
    onnx.checker.check_model(graph)
    onnx.helper.set_model_props(
        graph, {name: json.dumps(meta[name])
                for name in meta})
    data = graph.SerializeToString()
    largest = _compare(
        model,
        onnxruntime.InferenceSession(data, providers=['CPUExecutionProvider']))
    write_whole(path, data)
    return largest


def _compare(model: nn.Module, session: Any) -> float:
    """Largest relative difference on random inputs."""
    worst = 0.
    generator = torch.Generator().manual_seed(0)
    for size in _SIZES:
        images = torch.randn(size, generator=generator)
        with torch.no_grad():
            wanted = model(images)
        got = session.run(['features', 'map'], dict(images=images.numpy()))
        for ours, theirs in zip(wanted, got):
            error = (ours - torch.from_numpy(theirs)).abs().max()
            worst = max(worst, float(error / ours.abs().max()))
    # "not <", so that NaN fails, too.
    if not worst < _TOLERANCE:
        raise CheckpointError(
            f'onnxruntime and torch differ by {worst:.1e} of the largest '
            f'value, more than {_TOLERANCE}; nothing was written')
    return worst


def publish(config: str,
            path: str,
            folder: str,
            date: str,
            part: str = 'full') -> str:
    """Write a checkpoint for publication: weights and their source.

    Args:
        config (str): The config of its training, which gives the name.
        path (str): The checkpoint.
        folder (str): Target folder.
        date (str): Eight digits, for the name.
        part (str): 'full' for all weights, 'backbone' for the query
            encoder's backbone. Defaults to 'full'.

    Returns:
        str: The file, ``{config}_{date}-{first 8 digits of sha256}.pth``.

    Raises:
        CheckpointError: The date or the checkpoint is not what it should be.
    """
    if not re.fullmatch(r'\d{8}', date):
        raise CheckpointError(f'--date {date}: eight digits, YYYYMMDD')
    if not osp.isfile(config):
        raise CheckpointError(f'no such config: {config}')
    content = read_checkpoint(path)
    state, meta = weights_of(content, path)
    backbone = find_backbone(content, path)
    method = backbone.meta.get('method')
    if part == 'backbone':
        state = {f'backbone.{k}': v for k, v in backbone.weights.items()}
    wanted = str(Config.fromfile(config).model.type).lower()
    # Weights do not show which of the hosts' own methods trained them.
    own = wanted in METHODS or method
    if own and method != wanted or backbone.meta.get('supervised'):
        what = f'of {method}' if method else f'a {backbone.source}'
        raise CheckpointError(f'{path!r} is {what}, and {config} trains '
                              f'{wanted}')
    name = osp.splitext(osp.basename(config))[0]
    meta = provenance(
        path,
        dict(meta, **backbone.meta),
        # Not 'config': mmengine reads that key as the text of a config.
        config_name=f'{name}.py',
        part=part,
        method=method,
        architecture=backbone.architecture.name)
    if osp.exists(folder) and not osp.isdir(folder):
        raise CheckpointError(f'{folder!r} is a file; name a folder')
    data = serialize(dict(state_dict=state, meta=meta))
    digest = hashlib.sha256(data).hexdigest()[:8]
    result = osp.join(folder, f'{name}_{date}-{digest}.pth')
    check_output(result, path)
    write_whole(result, data)
    return result


def zoo_entry(config: str,
              path: str,
              url: Optional[str] = None) -> Dict[str, Any]:
    """Make a metafile's entry for a model.

    Args:
        config (str): The config.
        path (str): The published file.
        url (str, optional): Folder where it will be. Defaults to its path.

    Returns:
        dict[str, Any]: The entry, in openmim's format.
    """
    cfg = Config.fromfile(config)
    meta = read_checkpoint(path)['meta']
    name = osp.splitext(osp.basename(config))[0]
    method = str(cfg.model.type).lower()
    batch = re.search(r'_(\d+)xb(\d+)', name)
    metadata = {
        'Architecture': meta['architecture'],
        'Epochs': meta.get('epoch'),
        'Batch Size': int(batch[1]) * int(batch[2]) if batch else None
    }
    return {
        'Name': name,
        'In Collection': TITLES.get(method, str(cfg.model.type)),
        'Metadata': {
            k: v
            for k, v in metadata.items() if v is not None
        },
        'Config': f'configs/selfsup/{method}/{osp.basename(config)}',
        'Weights': f'{url.rstrip("/")}/{osp.basename(path)}' if url else path,
        'Results': None,
    }


def enter(entry: Dict[str, Any], metafile: str) -> str:
    """Add a model to a metafile, and keep its comments and order.

    Args:
        entry (dict[str, Any]): From :func:`zoo_entry`.
        metafile (str): The file. A model of that name gets the weights; a
            new one is appended.

    Returns:
        str: What was done.

    Raises:
        CheckpointError: The file is no metafile.
    """
    try:
        text = Path(metafile).read_text(encoding='utf-8')
        before = yaml.safe_load(text)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise CheckpointError(
            f'{metafile!r} is no YAML: {str(error).splitlines()[0]}'
        ) from error
    if not isinstance(before, dict) or not before.get('Models'):
        raise CheckpointError(f'{metafile!r} lists no Models')
    name, weights = entry['Name'], entry['Weights']
    if name in [model['Name'] for model in before['Models']]:
        found = re.search(
            rf'^  - Name: {re.escape(name)}\s*$(\n(?!  - Name: ).*)*', text,
            re.MULTILINE)
        block = found[0] if found else ''
        changed = re.sub(r'\n    Weights:.*', '', block)
        changed = re.sub(r'\n    Config:.*',
                         lambda match: f'{match[0]}\n    Weights: {weights}',
                         changed)
        text = text.replace(block, changed, 1)
        done = f'weights of {name} entered in {metafile}'
    else:
        lines = yaml.safe_dump([entry], sort_keys=False).splitlines()
        text = '\n'.join(
            [text.rstrip('\n'), '', *(f'  {line}' for line in lines), ''])
        done = f'{name} added to {metafile}'
    models = {model['Name']: model for model in yaml.safe_load(text)['Models']}
    if models[name].get('Weights') != weights:
        raise CheckpointError(
            f'{metafile!r}: the entry of {name} has no Config line '
            'of its own, behind which the weights could stand')
    write_whole(metafile, text)
    return done
