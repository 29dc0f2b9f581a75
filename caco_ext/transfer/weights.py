"""Load a pre-trained backbone into any task's model, and verify it."""
import re
from collections import Counter
from typing import Any, Dict, Mapping, Optional

import torch
from torch import Tensor, nn

from caco_ext.converters import CheckpointError, read_checkpoint
from caco_ext.converters.backbones import Backbone, find_backbone
from caco_ext.converters.files import sha256, weights_of
from caco_ext.converters.resnet import Architecture
from caco_ext.utils import describe_differences
from caco_ext.utils.models import unwrap_model

# Weights of stages. Others, such as R50-C4's extra norm, belong to the task.
_STAGE = re.compile(r'layer\d+\.')


def load_pretrained(model: nn.Module,
                    path: str,
                    part: str = 'backbone',
                    supervised: bool = False,
                    trust: bool = False,
                    prefix: str = '') -> Dict[str, Any]:
    """Load a backbone into all its places in a model.

    The places are ``model.backbone`` and, if a detector's RoI head has the
    last stage (C4), the stages in ``model.roi_head.shared_head``. Every entry
    of the checkpoint's backbone must have a place, and every entry of the
    places must be in the checkpoint. Layers that a task adds after the last
    stage (R50-C4's extra norm) are left alone.

    Args:
        model (nn.Module): Model of mmselfsup, mmcls, mmdet or mmseg, wrapped
            for several processes or not.
        path (str): A checkpoint of a pre-training run, a backbone extracted
            from one, or an author's file.
        part (str): 'backbone' for that of the query encoder (student), which
            the papers transfer, or 'backbone_k' for that of the key encoder
            (teacher). Defaults to 'backbone'.
        supervised (bool): Whether the checkpoint may be of a network trained
            with labels, for a supervised baseline. Defaults to False.
        trust (bool): See :func:`caco_ext.converters.read_checkpoint`.
            Defaults to False.
        prefix (str): Start of the backbone's keys, such as 'teacher.', if the
            file has several backbones or is of an unknown program.
            Defaults to ''.

    Returns:
        dict[str, Any]: 'path', 'sha256', 'source', 'part', 'architecture',
        and 'matched': number of loaded entries, by place.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file does not fit. Has counts and first names.
    """
    model = unwrap_model(model)
    places = find_places(model)
    own = {
        name: value
        for values in places.values()
        for name, value in values.items()
    }
    backbone = read_pretrained(path, part, supervised, trust, own, prefix)
    differences = describe_differences(own, backbone.weights)
    if differences:
        fitting = sum(name in own and own[name].shape == value.shape
                      for name, value in backbone.weights.items())
        raise CheckpointError(
            f'{path!r} ({backbone.source}, {backbone.architecture.name}, '
            f'{len(backbone.weights)} keys) does not fit '
            f'{" with ".join(places)}: {fitting} of {len(own)} keys match; '
            f'{differences}. Is the config of another depth or width, or has '
            'its backbone another stem?')
    matched: Dict[str, int] = {}
    for place, values in places.items():
        for name, value in values.items():
            with torch.no_grad():
                value.copy_(backbone.weights[name])
        matched[place] = len(values)
    return prove(backbone, path, part, matched)


def read_pretrained(path: str,
                    part: str = 'backbone',
                    supervised: bool = False,
                    trust: bool = False,
                    own: Optional[Mapping[str, Any]] = None,
                    prefix: str = '') -> Backbone:
    """Read a backbone that may be transferred; refuse any other.

    Args:
        path, part, supervised, trust: See :func:`load_pretrained`.
        own (Mapping[str, Any], optional): The model's weights by name, for
            the counts in errors. Defaults to None: those of a ResNet-50.
        prefix (str): See :func:`load_pretrained`. Defaults to ''.

    Returns:
        Backbone: The weights and their source.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It has no such backbone, only that of the other
            encoder, or one trained with labels.
    """
    own = Architecture(50).shapes() if own is None else own
    content = read_checkpoint(path, trust)
    try:
        backbone = find_backbone(content, path, part, prefix)
    except CheckpointError as error:
        raise CheckpointError(
            f'{error}{_diagnose(content, path, own)}') from error
    _check_origin(backbone, path, part, supervised, own)
    return backbone


def prove(backbone: Backbone, path: str, part: str,
          matched: Mapping[str, int]) -> Dict[str, Any]:
    """Entry of ``results.json`` about a checkpoint.

    Args:
        backbone (Backbone): The loaded backbone.
        path (str): The file.
        part (str): See :func:`load_pretrained`.
        matched (Mapping[str, int]): Number of entries by place.

    Returns:
        dict[str, Any]: Plain data.
    """
    return dict(
        path=path,
        sha256=sha256(path),
        source=backbone.source,
        part=part,
        architecture=backbone.architecture.name,
        matched=dict(matched))


def find_places(model: nn.Module) -> Dict[str, Dict[str, Tensor]]:
    """Find where a backbone's weights belong in a model.

    Args:
        model (nn.Module): Not wrapped.

    Returns:
        dict[str, dict[str, Tensor]]: For each place, its live tensors by
        their names in the backbone.

    Raises:
        CheckpointError: The model has no backbone.
    """
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, nn.Module):
        raise CheckpointError(f'{type(model).__name__} has no backbone to '
                              'load pre-trained weights into')
    places = {'model.backbone': _tensors(backbone)}
    head = getattr(getattr(model, 'roi_head', None), 'shared_head', None)
    if isinstance(head, nn.Module):
        stages = {n: v for n, v in _tensors(head).items() if _STAGE.match(n)}
        if stages:
            places['model.roi_head.shared_head'] = stages
    return places


def _tensors(module: nn.Module) -> Dict[str, Tensor]:
    """Live parameters and buffers of a module, by name."""
    return module.state_dict(keep_vars=True)


def _check_origin(backbone: Backbone, path: str, part: str, supervised: bool,
                  own: Mapping[str, Any]) -> None:
    """Refuse another encoder's backbone, and one trained with labels."""
    found = sum(name in own for name in backbone.weights)
    counts = f'{found} of {len(own)} backbone keys are in {path!r}'
    if backbone.meta.get('part') == 'backbone_k' and part != 'backbone_k':
        raise CheckpointError(
            f'{counts}, but they are those of the key encoder, by its '
            "meta['part']; the papers transfer the query encoder. Extract "
            "that one, or say part='backbone_k'")
    signs = backbone.meta.get('supervised')
    if signs and not supervised:
        raise CheckpointError(
            f'{counts}, but it is a {backbone.source}: {signs} show that it '
            'was trained with labels or is of another task. For a supervised '
            'baseline say supervised=True; otherwise give the checkpoint of '
            'the pre-training')


def _diagnose(content: Any, path: str, own: Mapping[str, Any]) -> str:
    """Say how many of a model's keys a foreign file has, and where."""
    try:
        state, _ = weights_of(content, path)
    except CheckpointError:
        return ''
    unmatched = [f'backbone.{n}' for n in own if f'backbone.{n}' not in state]
    text = (f'. {len(own) - len(unmatched)} of {len(own)} keys of the '
            f'backbone match; first unmatched: {", ".join(unmatched[:3])}')
    # The prefix under which most of the wanted names are.
    counts = Counter(name[:begin.start()] for name in state
                     for begin in re.finditer(r'(?<![^.])', name)
                     if name[begin.start():] in own)
    prefix = max(counts, key=lambda one: (counts[one], one), default='')
    if prefix not in ('', 'backbone.'):
        text += (f'. {counts[prefix]} of them stand behind the prefix '
                 f'{prefix!r}; if they are the right ones, say so with prefix')
    return text
