# Copyright (c) caco_ext authors. All rights reserved.
"""The backbone of a run, whatever network it is, with the hosts' names."""
from typing import Any, Dict, Mapping, Tuple

from torch import Tensor

from caco_ext.utils.checkpoints import reading
from caco_ext.utils.files import check_output
from .backbones import find_backbone
from .files import read_checkpoint, weights_of
from .survey import survey
from .to_official import method_of
from .writing import provenance, write_checkpoint

PREFIX = 'backbone.'


def extract_backbone(source: str, path: str, src_prefix: str = '') -> int:
    """Write the weights named ``backbone.*`` to a file of their own.

    The names keep their prefix, as every OpenMMLab project can take it off.
    The ResNet of another program's checkpoint gets these names.

    Args:
        source (str): A checkpoint; nothing but tensors and plain data is
            unpickled from it.
        path (str): The file to write.
        src_prefix (str): See :func:`.backbones.read_backbone`.
            Defaults to ''.

    Returns:
        int: How many tensors it holds.

    Raises:
        CheckpointError: The source is no checkpoint or has no backbone.
        UsageError: The file is the source itself or cannot be written.
    """
    check_output(path, source)
    content = read_checkpoint(source)
    with reading(source):
        weights, meta = _backbone(content, source, src_prefix)
    write_checkpoint(
        dict(state_dict=weights, meta=provenance(source, meta)), path)
    return len(weights)


def _backbone(content: Any, source: str,
              src_prefix: str) -> Tuple[Dict[str, Tensor], Dict[str, Any]]:
    """The weights by the names to write, and what is known of them."""
    found = survey(content, source)
    state = content.get('state_dict', content)
    hosted = isinstance(state, Mapping) and any(
        str(name).startswith(PREFIX) for name in state)
    # the hosts' names, not those of nn.Sequential
    named = found.places.get(f'state_dict/{PREFIX}', 'conv1.')[:6] == 'conv1.'
    if src_prefix or not hosted or not named or \
            found.program.labels is False:
        backbone = find_backbone(content, source, prefix=src_prefix)
        return {
            PREFIX + name: value
            for name, value in backbone.weights.items()
        }, backbone.meta
    state, meta = weights_of(content, source)
    weights = {n: v for n, v in state.items() if n.startswith(PREFIX)}
    meta.setdefault('method', method_of(state) or None)
    meta.setdefault('supervised',
                    found.labelled(f'state_dict/{PREFIX}') or None)
    return weights, meta
