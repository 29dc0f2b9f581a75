# Copyright (c) caco_ext authors. All rights reserved.
"""The backbone of any checkpoint."""
import re
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Tuple

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from caco_ext.utils.checkpoints import (CheckpointError, read_checkpoint,
                                        reading)
from caco_ext.utils.files import check_output
from caco_ext.utils.text import first_of
from caco_ext.utils.weights import check_weights
from .files import (LASTING, behind, meta_of, provenance, weights_of,
                    write_checkpoint)
from .official import identify
from .programs import WRAPPERS, Survey, survey
from .resnet import Architecture, detect
from .to_official import method_of

# Prefix of each backbone in a checkpoint of this package.
_PREFIXES = dict(backbone='backbone.', backbone_k='key_encoder.backbone.')
# Names of a ResNet's own layers; all others belong to a head.
_TRUNK = re.compile(r'(conv|bn|layer|stem(?!\.fc)|res|norm)\d*\.')


@dataclass
class Backbone:
    """Weights of a ResNet with torchvision's names, and their source.

    Attributes:
        weights (dict[str, Tensor]): Weights by name, without a prefix.
        architecture (Architecture): Depth and widths.
        source (str): Description of the file for people.
        meta (dict): What the file tells: 'method', 'epoch', 'origin' (the
            program), 'supervised' (names of weights that show that labels
            were used) and the like.
    """
    weights: Dict[str, Tensor]
    architecture: Architecture
    source: str
    meta: Dict[str, Any]


def read_backbone(path: str,
                  part: str = 'backbone',
                  trust: bool = False,
                  prefix: str = '') -> Backbone:
    """Read the backbone of any checkpoint.

    Args:
        path (str): A checkpoint of one of :data:`.programs.PROGRAMS`.
        part (str): 'backbone', or 'backbone_k' for the key encoder's.
            Defaults to 'backbone'.
        trust (bool): See :func:`read_checkpoint`. Defaults to False.
        prefix (str): Start of the backbone's keys, such as 'teacher.', if the
            file has several backbones or is of an unknown program.
            Defaults to '': the program's usual one.

    Returns:
        Backbone: A complete ResNet.

    Raises:
        CheckpointError: The file has no such backbone. Says what it has.
    """
    return find_backbone(read_checkpoint(path, trust), path, part, prefix)


def find_backbone(content: Any,
                  path: str,
                  part: str = 'backbone',
                  prefix: str = '') -> Backbone:
    """Like :func:`read_backbone`, for a file that is already read.

    Args:
        content (Any): Content of the file.
        path (str): The file, for errors.
        part (str): See :func:`read_backbone`. Defaults to 'backbone'.
        prefix (str): See :func:`read_backbone`. Defaults to ''.

    Returns:
        Backbone: A complete ResNet.
    """
    if part not in _PREFIXES:
        raise CheckpointError(f'--part {part}: choose one of '
                              f'{", ".join(_PREFIXES)}')
    with reading(path):
        found = survey(content, path)
        if found.program.method and not prefix:
            weights, meta, source = _of_official(content, path, part)
        else:
            weights, meta, source = _of_program(found, content, part, prefix)
        try:
            architecture = detect(weights, 'the backbone')
        except ValueError as error:
            raise CheckpointError(f'{path!r}: {error}') from error
        names = architecture.shapes()
        extra = sorted(set(weights) - set(names))
        if extra:
            raise CheckpointError(
                f'{path!r}: its backbone is more than a {architecture.name}: '
                f'{first_of(extra, 4)}')
        return Backbone({name: weights[name]
                         for name in names}, architecture, source, {
                             k: v
                             for k, v in meta.items() if v not in (None, '')
                         })


def _of_official(content: Any, path: str,
                 part: str) -> Tuple[Dict[str, Tensor], Dict[str, Any], str]:
    """Weights, meta data and source of an original's file."""
    official = identify(content, path)
    weights = behind(
        {
            new: official.state[name]
            for name, new in official.names.items()
        }, _PREFIXES[part])
    if not weights:
        raise CheckpointError(f'{path!r} is of a linear probe, which has '
                              'no key encoder')
    return weights, dict(
        method=official.method,
        epoch=official.epoch), (f"authors' checkpoint of {official.method}")


def _of_program(found: Survey, content: Any, part: str,
                prefix: str) -> Tuple[Dict[str, Tensor], Dict[str, Any], str]:
    """Weights, meta data and source of any other file."""
    meta = meta_of(content, found.path)
    # An extracted backbone of a key encoder has the usual names.
    place = _find_place(found,
                        'backbone' if meta.get('part') == part else part,
                        prefix)
    inner = place.partition('/')[2]
    check_weights(
        {
            inner + n: v
            for n, v in behind(found.weights, place).items()
        }, found.path)
    weights = {
        name: value
        for name, value in found.backbone(place).items()
        if (not name.startswith('fc.') if place.
            endswith('backbone.') else _TRUNK.match(name))
    }
    # torch < 0.4.1 and detectron2 have no num_batches_tracked.
    for name in [n for n in weights if n.endswith('.running_var')]:
        counter = name.replace('running_var', 'num_batches_tracked')
        weights.setdefault(counter, torch.tensor(0))
    method = method_of({n.partition('/')[2] for n in found.weights})
    known = {name: meta.get(name) for name in LASTING}
    source = f'checkpoint {f"of {method}" if method else found.program.name}'
    if prefix:
        source += f', {_show(place)}'
    known['origin'] = known['origin'] or source
    known['part'] = 'backbone_k' if 'backbone_k' in (
        part, known['part']) else 'backbone'
    known['method'] = method or known['method']
    known['supervised'] = known['supervised'] or found.labelled(place)
    if known['origin'] != source:
        source += f', made from a {known["origin"]}'
    if known['supervised']:
        source += ', trained with labels'
    return weights, known, source


def _find_place(found: Survey, part: str, prefix: str) -> str:
    """Find the backbone's place, as in :attr:`Survey.places`.

    Raises:
        CheckpointError: There is none, or more than one.
    """
    program, places = found.program, []
    own = program.query if part == 'backbone' else program.key
    if prefix:
        # The prefix as the error below shows it, or its start.
        wanted = WRAPPERS.sub('', prefix.rstrip('.') + '.')
        places = [p for p in found.places if _show(p) == repr(prefix)] or [
            p for p in found.places if p.partition('/')[2].startswith(wanted)
            or p.replace('/', '.').lstrip('.').startswith(wanted)
        ]
    elif part == 'backbone' or own:
        places = [p for p in found.places if re.search(own, p)]
        if not places and own.endswith('$'):
            # Weights without a stem: a later error names what is missing.
            matches = (
                re.match(f'[^/]*{own[:-1]}', name) for name in found.weights)
            places = sorted({match[0] for match in matches if match})
    if len(places) == 1:
        return places[0]
    what = f'{found.path!r}, {program.name}, has '
    if places:
        what += f'{len(places)} ResNets that may be meant'
    elif prefix:
        what += f'no ResNet behind {prefix!r}'
    elif part == 'backbone_k':
        what += 'no key encoder with a ResNet'
    else:
        heads = {n.partition('/')[2].split('.')[0] for n in found.weights}
        what += ("no key that begins with 'backbone.', only "
                 f'{first_of(sorted(heads), 8) or "others"}')
    have = ', '.join(map(_show, places or found.places))
    raise CheckpointError(
        f'{what}; say which one with --src-prefix (in Python: prefix): '
        f'{have}' if have else what)


def _show(place: str) -> str:
    """A place as the user would write it."""
    container, _, prefix = place.partition('/')
    if not container or prefix and container in ('state_dict', 'model'):
        return repr(prefix)
    return repr(f'{container}.{prefix}')


def extract_backbone(source: str, path: str, src_prefix: str = '') -> int:
    """Write the weights named ``backbone.*`` to a file of their own.

    In checkpoints of this package and its hosts, the backbone may be any
    network, and its names stay; OpenMMLab projects can strip the prefix. In
    other programs' checkpoints it must be a ResNet, which gets such names.

    Args:
        source (str): A checkpoint. Only tensors and plain data are unpickled
            from it.
        path (str): The file to write.
        src_prefix (str): See :func:`read_backbone`. Defaults to ''.

    Returns:
        int: How many tensors it holds.

    Raises:
        CheckpointError: The source is no checkpoint or has no backbone.
        UsageError: The file is the source itself or cannot be written.
    """
    check_output(path, source)
    content = read_checkpoint(source)
    with reading(source):
        weights, meta = _hosted_backbone(content, source, src_prefix)
    state = {f'backbone.{name}': value for name, value in weights.items()}
    write_checkpoint(
        dict(state_dict=state, meta=provenance(source, meta)), path)
    return len(state)


def _hosted_backbone(content: Any, path: str,
                     prefix: str) -> Tuple[Dict[str, Tensor], Dict[str, Any]]:
    """Any network under 'backbone.', with its names, or else a ResNet; and
    its meta data."""
    found, place = survey(content, path), 'state_dict/backbone.'
    state = content.get('state_dict', content)
    hosted = isinstance(state, Mapping) and any(
        str(name).startswith('backbone.') for name in state)
    # Whether the names are the hosts', not those of nn.Sequential.
    named = found.places.get(place, 'conv1.').startswith('conv1.')
    if prefix or not (hosted and named) or found.program.labels is False:
        backbone = find_backbone(content, path, prefix=prefix)
        return backbone.weights, backbone.meta
    state, meta = weights_of(content, path)
    meta.setdefault('method', method_of(state) or None)
    meta.setdefault('supervised', found.labelled(place) or None)
    return behind(state, 'backbone.'), meta


def build(backbone: Backbone) -> nn.Module:
    """The hosts' ResNet with the weights, in evaluation mode.

    Args:
        backbone (Backbone): The weights.

    Returns:
        nn.Module: Gives a tuple with the last map, (N, C, H/32, W/32), of
        normalised RGB pictures (N, 3, H, W).
    """
    model = build_network(backbone.architecture)
    model.load_state_dict(backbone.weights, strict=True)
    model.eval()  # returns nothing
    return model


def build_network(architecture: Architecture) -> nn.Module:
    """The hosts' ResNet with weights that mean nothing yet.

    Args:
        architecture (Architecture): Depth and widths.

    Returns:
        nn.Module: The network, in training mode.
    """
    return MODELS.build(dict(norm_eval=False, **architecture.options()))
