# Copyright (c) caco_ext authors. All rights reserved.
"""What a run needs to resume an original's training: the sizes of its model,
and the state of optimizer and schedules."""
import copy
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from caco_ext.utils.checkpoints import CheckpointError
from .files import behind
from .key_maps import METHODS, parameter_names
from .official import Official
from .resnet import Architecture

_IMAGENET = 1281167
# Name of the momentum in an optimizer's state, by type in a config.
_MOMENTUM = dict(SGD='momentum_buffer', CaCoLARS='mu')
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
        for name, value in official.architecture.sizes().items()
    }
    heads = ['neck']
    if METHODS[official.method].stack:
        heads += ['attention_neck', 'predictor', 'attention_predictor']
        options.update(_stack_options(state, official.relative))
    for head in heads:
        matrices = [
            v for v in behind(state, f'{head}.').values() if v.ndim == 2
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
    stack = behind(state, 'attention.blocks.')
    shortcut = stack['0.shortcut.conv.weight']
    sides = [
        stack[f'0.attention.position.{side}'] for side in ('height', 'width')
    ]
    width = sides[0].size(1)
    options = dict(
        in_channels=shortcut.size(1),
        out_channels=shortcut.size(0),
        # The config's stride is applied later.
        map=tuple((one.size(0) + 1) // 2 if relative else one.size(0)
                  for one in sides),
        num_blocks=1 + max(int(name.split('.')[0]) for name in stack),
        num_heads=stack['0.attention.to_qkv.weight'].size(0) // (3 * width),
        head_channels=width,
        position='relative' if relative else 'absolute')
    return {f'attention.{name}': value for name, value in options.items()}


def apply_options(model: Dict[str, Any],
                  options: Mapping[str, Any]) -> Tuple[dict, List[str]]:
    """Give the model of a config the sizes of a checkpoint.

    Args:
        model (dict[str, Any]): The config's model.
        options (Mapping[str, Any]): From :func:`model_options`.

    Returns:
        tuple[dict, list[str]]: The changed model, and the changes as
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
    """Modules that are built inside have shapes but no values.

    ``torch.device('meta')`` does not work here, as the hosts' ResNet reads
    numbers from a tensor while it is built.
    """

    def __torch_function__(self,
                           func: Callable,
                           types: Any,
                           args: tuple = (),
                           kwargs: Optional[dict] = None) -> Any:
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


def iterations_of_epoch(cfg: Config, given: Optional[int]) -> int:
    """Iterations per epoch: as the user says, or else ImageNet's with the
    config's global batch size."""
    if given is not None:
        if given < 1:
            raise CheckpointError(f'--iters-per-epoch {given}: an epoch has '
                                  'at least one iteration')
        return given
    batch = cfg.get('auto_scale_lr', {}).get('base_batch_size')
    root = str(cfg.train_dataloader.dataset.get('data_root', ''))
    if not batch or 'imagenet' not in root.lower():
        raise CheckpointError(
            'how many iterations an epoch has with this config is not known '
            'before its data are there; give --iters-per-epoch (pictures '
            'divided by the global batch, rounded down)')
    return _IMAGENET // batch


def read_momentum(official: Official, cfg: Config,
                  notes: List[str]) -> Dict[str, Tensor]:
    """Momentum of each parameter in the file, by the package's names. If it
    cannot be used, it is empty and ``notes`` say why."""
    try:
        return _read_momentum(official,
                              _MOMENTUM.get(cfg.optim_wrapper.optimizer.type))
    except LookupError as error:
        notes.append(f'momentum starts at zero: {error.args[0]}')
        return {}


def _read_momentum(official: Official,
                   key: Optional[str]) -> Dict[str, Tensor]:
    if official.optimizer is None:
        raise LookupError('the file has no optimizer')
    state = official.optimizer.get('state')
    if not isinstance(state, Mapping) or not state:
        raise LookupError("the file's optimizer has no state")
    indices = [
        index for group in official.optimizer.get('param_groups', ())
        for index in group['params']
    ]
    names = parameter_names(official.method, official.state, len(indices))
    if len(names) != len(indices):
        raise LookupError("the file's optimizer has another number of "
                          'parameters than its model')
    found = {}
    for name, index in zip(names, indices):
        value = state.get(index, {}).get(key)
        if value is None:
            continue
        if not isinstance(value, Tensor) or (value.shape
                                             != official.state[name].shape):
            raise LookupError(f'{key} of parameter {index} does not have the '
                              f'shape of {name}')
        found[official.names[name]] = value
    if not found:
        held = sorted({k for entry in state.values() for k in entry})
        raise LookupError(f"the file's optimizer has no {key}, only "
                          f'{", ".join(map(str, held))}')
    return found


def resume_entries(cfg: Config, model: nn.Module, epoch: int, length: int,
                   momentum: Mapping[str, Tensor]) -> Dict[str, Any]:
    """Entries of a checkpoint beside weights and meta data.

    Args:
        cfg (Config): The config to train with.
        model (nn.Module): Its model; values are not needed.
        epoch (int): Epochs done.
        length (int): Iterations per epoch.
        momentum (Mapping[str, Tensor]): Momentum by name of parameter.

    Returns:
        dict[str, Any]: 'optimizer', 'param_schedulers', 'message_hub'.
    """
    settings = copy.deepcopy(cfg.optim_wrapper)
    # Mixed precision would only add the loss scale, which the originals'
    # files do not hold.
    settings.type = 'OptimWrapper'
    for name in ('loss_scale', 'dtype', 'use_fsdp'):
        settings.pop(name, None)
    optimizer = build_optim_wrapper(model, settings).optimizer
    schedulers = _run_schedules(cfg, optimizer, epoch, length)
    key = _MOMENTUM[settings.optimizer.type]
    names = {id(p): name for name, p in model.named_parameters()}
    places = [
        names[id(p)] for g in optimizer.param_groups for p in g['params']
    ]
    return dict(
        optimizer=dict(
            state={
                index: {
                    key: momentum[name]
                }
                for index, name in enumerate(places) if name in momentum
            },
            param_groups=optimizer.state_dict()['param_groups']),
        param_schedulers=schedulers,
        message_hub=dict(
            log_scalars={},
            runtime_info=dict(epoch=epoch, iter=epoch * length),
            resumed_keys=dict(epoch=True, iter=True)))


def _run_schedules(cfg: Config, optimizer: torch.optim.Optimizer, epoch: int,
                   length: int) -> List[Dict[str, Any]]:
    """Run the schedules up to an epoch, and set the optimizer accordingly.

    Returns:
        list[dict]: Position of each schedule, without its settings, so that
        those of the resuming config are used.
    """
    settings = cfg.param_scheduler
    settings = [settings] if isinstance(settings, dict) else settings
    built, total = [], cfg.train_cfg.max_epochs
    for one in copy.deepcopy(settings):
        one.setdefault('end',
                       total if one.get('by_epoch', True) else total * length)
        built.append(
            PARAM_SCHEDULERS.build(
                one,
                default_args=dict(optimizer=optimizer, epoch_length=length)))
    # Schedulers warn if the optimizer has counted no step before them.
    setattr(optimizer, '_global_step', 0)
    by_iter = [one for one in built if not one.by_epoch]
    for _ in range(epoch):
        for _ in range(length if by_iter else 0):
            for one in by_iter:
                one.step()
        for one in built:
            if one.by_epoch:
                one.step()
    return [{
        name: one.state_dict()[name]
        for name in ('last_step', '_global_step', '_last_value')
    } for one in built]


def compare_learning_rate(official: Official, cfg: Config, epoch: int,
                          length: int, notes: List[str]) -> None:
    """Note if the file's last learning rate differs from the config's after
    as many epochs and iterations."""
    groups = (official.optimizer or {}).get('param_groups') or [{}]
    theirs = groups[0].get('lr')
    if theirs is None or epoch < 1:
        return
    optimizer = torch.optim.SGD([nn.Parameter()],
                                cfg.optim_wrapper.optimizer.lr)
    by_iter = any(
        one.get('convert_to_iter_based') or not one.get('by_epoch', True)
        for one in cfg.param_scheduler)
    # The file holds the rate of the epoch's last iteration.
    _run_schedules(cfg, optimizer, epoch if by_iter else epoch - 1, length)
    ours = optimizer.param_groups[0]['lr']
    if abs(theirs - ours) > 0.01 * max(abs(theirs), abs(ours)):
        notes.append(
            f'the file ended with lr {theirs:.6g}, and the config trains the '
            f'epoch that it ended with lr {ours:.6g}: batch, length or '
            'method differ; choose the config of its run with --config')
