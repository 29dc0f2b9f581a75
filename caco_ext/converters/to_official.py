# Copyright (c) caco_ext authors. All rights reserved.
"""Convert this package's checkpoints to the originals' layout."""
from typing import Any, Container, Dict, List, Mapping, Tuple, Union

from mmengine.config import Config
from torch import Tensor

from caco_ext.utils.checkpoints import CheckpointError, reading
from caco_ext.utils.config_files import config_path
from caco_ext.utils.text import first_of
from .files import behind, weights_of
from .key_maps import (BANK, METHODS, PROBES, Method, Probe, method_names,
                       parameter_names, probe_names, strip_key)
from .resnet import Architecture, detect


def method_of(names: Container[str]) -> str:
    """Find the method of this package's checkpoint by its keys.

    Args:
        names (Container[str]): The package's names of weights.

    Returns:
        str: 'adco', 'caco', 'clsa' or 'care'; '' for none of them.
    """
    if 'key_encoder._extra_state' not in names:
        return ''
    if 'attention.blocks.0.attention.to_qkv.weight' in names:
        return 'care'
    if 'memory.pointer' in names:
        return 'clsa'
    if 'memory.velocity' in names:
        return 'caco' if 'neck.fc2.weight' in names else 'adco'
    return ''


def to_official(content: Any, path: str) -> Tuple[Dict[str, Any], List[str]]:
    """Write a checkpoint as the original's program would.

    This undoes :func:`convert`, tensor by tensor. It also lets the original's
    tools read a run of this package.

    Args:
        content (Any): Content of the file.
        path (str): The file, for errors.

    Returns:
        tuple[dict, list[str]]: The content of the original's file, and the
        names that have no place in it.

    Raises:
        CheckpointError: It is neither a full pre-training of one of the four
            methods nor a converted linear probe.
    """
    with reading(path):
        return _to_official(content, path)


def _to_official(content: Any, path: str) -> Tuple[Dict[str, Any], List[str]]:
    state, meta = weights_of(content, path)
    original = meta.get('original') or {}
    own_keys = original.get('keys', ())
    if meta.get('kind') == 'linear probe':
        method = 'care' if meta.get('method') == 'care' else 'maple'
        layout: Union[Method, Probe] = PROBES[method]
        names = probe_names(method, _architecture(state),
                            map(strip_key, own_keys))
        state.update(content.get('unfolded_head', {}))
    else:
        method = method_of(state)
        if not method:
            raise CheckpointError(
                f'{path!r} is no complete pre-training checkpoint of AdCo, '
                'CaCo, CLSA or CARE in the layout of this package')
        layout = METHODS[method]
        names = _names(method, state, meta)
    missing = [new for new in names.values() if new not in state]
    if missing:
        raise CheckpointError(f'{path!r} lacks {first_of(missing, 4)}, '
                              'which the original has')
    result = dict(original.get('scalars') or {})
    if 'epoch' in meta:
        result.setdefault(layout.epoch, meta['epoch'])
        if not original:
            result['arch'] = f'resnet{_architecture(state).depth}'
            if layout.container == 'state_dict':
                # Only CLSA's files have it, MoCo's do not. No run here
                # measures it.
                result['best_acc'] = 0.
    plain = {old: new for old, new in names.items() if BANK not in old}
    # The file's own keys, or else with DDP's 'module.'.
    keys = own_keys or [f'module.{old}' for old in plain]
    # Names that are not in `plain` were idle in the file.
    result[layout.container] = {
        key: state[plain[strip_key(key)]]
        for key in keys if strip_key(key) in plain
    }
    bank = {
        old[len(BANK) + 1:]: state[new]
        for old, new in names.items() if BANK in old
    }
    if bank:
        result[BANK] = bank
    if original.get('param_groups') and 'optimizer' in content:
        result['optimizer'] = _optimizer(content, method, plain)
    return result, sorted(set(state) - set(names.values()))


def _architecture(state: Mapping[str, Tensor]) -> Architecture:
    """Architecture of ``backbone.*``."""
    return detect(behind(state, 'backbone.'), 'backbone')


def _names(method: str, state: Mapping[str, Tensor],
           meta: Mapping) -> Dict[str, str]:
    """The package's name of each entry, by the original's."""
    blocks = 1 + max((int(name.split('.')[0])
                      for name in behind(state, 'attention.blocks.')),
                     default=-1)
    position = (meta.get('model') or {}).get('attention.position')
    return method_names(method, _architecture(state), blocks,
                        position == 'relative')


def _optimizer(content: Mapping, method: str,
               plain: Mapping[str, str]) -> Dict[str, Any]:
    """The original's optimizer, with the momenta of this checkpoint."""
    # Imports the registries, which reading files alone does not need.
    from .resume import apply_options, build_shapes
    cfg = Config.fromfile(config_path(METHODS[method].config))
    model = build_shapes(apply_options(cfg.model, content['meta']['model'])[0])
    places = {name: i for i, (name, _) in enumerate(model.named_parameters())}
    original = content['meta']['original']
    groups = original['param_groups']
    indices = [index for group in groups for index in group['params']]
    params = parameter_names(method, map(strip_key, original['keys']),
                             len(indices))
    found = {}
    for name, index in zip(params, indices):
        entry = content['optimizer']['state'].get(places[plain[name]])
        if entry:
            found[index] = entry
    return dict(state=found, param_groups=groups)
