# Copyright (c) caco_ext authors. All rights reserved.
"""From the shapes in a checkpoint to the config of the model it is of."""
import copy
from typing import Any, Dict, List, Mapping, Tuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .key_maps import METHODS
from .official import Official
from .resnet import Architecture

_STACK_DEFAULTS = dict(
    num_blocks=5, num_heads=4, head_channels=128, position='absolute')


def model_options(official: Official,
                  state: Mapping[str, Tensor]) -> Dict[str, Any]:
    """Sizes of a model, from the shapes of its weights.

    Args:
        official (Official): The file.
        state (Mapping[str, Tensor]): Its weights by the package's names.

    Returns:
        dict[str, Any]: Values by dotted name in the model's config.
    """
    options = {
        f'backbone.{name}': value
        for name, value in official.architecture._asdict().items()
        if name == 'depth' or value is not None
    }
    heads = ['neck']
    if METHODS[official.method].stack:
        heads += ['attention_neck', 'predictor', 'attention_predictor']
        options.update(_stack_options(state, official.relative))
    for head in heads:
        matrices = [
            value for name, value in state.items()
            if name.startswith(f'{head}.') and value.ndim == 2
        ]
        options[f'{head}.in_channels'] = matrices[0].size(1)
        options[f'{head}.hid_channels'] = matrices[0].size(0)
        options[f'{head}.out_channels'] = matrices[-1].size(0)
    if 'memory.columns' in state:
        options['memory.dim'], options['memory.num_columns'] = (
            state['memory.columns'].shape)
    return options


def _stack_options(state: Mapping[str, Tensor],
                   relative: bool) -> Dict[str, Any]:
    """Sizes of CARE's attention stack."""
    prefix = 'attention.blocks.'
    shortcut = state[f'{prefix}0.shortcut.conv.weight']
    qkv = state[f'{prefix}0.attention.to_qkv.weight']
    sides = [
        state[f'{prefix}0.attention.position.{side}']
        for side in ('height', 'width')
    ]
    width = sides[0].size(1)
    blocks = [
        int(name[len(prefix):].split('.')[0]) for name in state
        if name.startswith(prefix)
    ]
    options = dict(
        in_channels=shortcut.size(1),
        out_channels=shortcut.size(0),
        # whatever stride the config has is put in later
        map=tuple((one.size(0) + 1) // 2 if relative else one.size(0)
                  for one in sides),
        num_blocks=1 + max(blocks),
        num_heads=qkv.size(0) // (3 * width),
        head_channels=width,
        position='relative' if relative else 'absolute')
    return {f'attention.{name}': value for name, value in options.items()}


def apply_options(model: Mapping[str, Any],
                  options: Mapping[str, Any]) -> Tuple[dict, List[str]]:
    """Give the model of a config the sizes of a checkpoint.

    Args:
        model (Mapping[str, Any]): The config's model.
        options (Mapping[str, Any]): Of :func:`model_options`.

    Returns:
        tuple[dict, list[str]]: The changed model, and what was changed as
        arguments for ``--cfg-options``.
    """
    model, changes = copy.deepcopy(dict(model)), []
    usual = Architecture(options['backbone.depth'])
    for name, value in options.items():
        part, key = name.split('.')
        if name == 'attention.map':
            key, stride = 'img_size', model[part].get('stride', 16)
            before = model[part].get(key, 224)
            before = (before, before) if isinstance(before, int) else before
            if tuple(-(-side // stride) for side in before) == value:
                continue
            value = [side * stride for side in value]
            value = value[0] if value[0] == value[1] else value
        default = getattr(
            usual, key,
            None) if part == 'backbone' else _STACK_DEFAULTS.get(key)
        if model[part].get(key, default) != value:
            model[part][key] = value
            text = str(value).replace(' ', '')
            changes.append(f'model.{part}.{key}={text}')
    return model, changes


class _NoMemory(TorchFunctionMode):
    """Modules built inside have shapes and no values.

    ``torch.device('meta')`` would do, but the hosts' ResNet reads numbers
    from a tensor while it is built.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in (torch.empty, torch.randn, torch.zeros,
                    torch.ones) and kwargs.get('device') is None:
            kwargs['device'] = 'meta'
        return func(*args, **kwargs)


def build_shapes(model: Mapping[str, Any]) -> nn.Module:
    """Build the model of a config with shapes only, without memory for
    values."""
    with _NoMemory():
        return MODELS.build(Config(dict(model=dict(model))).model)
