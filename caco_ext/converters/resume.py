# Copyright (c) caco_ext authors. All rights reserved.
"""What mmengine's runner needs to go on with an original's training."""
import copy
from typing import Any, Dict, List, Mapping, Optional, Tuple

from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch import Tensor, nn

from .files import CheckpointError
from .key_maps import BUFFERS, METHODS
from .official import Official

IMAGENET = 1281167
# Where an optimizer keeps its momentum, by its type in a config.
MOMENTUM = dict(SGD='momentum_buffer', CaCoLARS='mu')


def iterations(cfg: Config, given: Optional[int]) -> int:
    """Iterations of an epoch.

    Args:
        cfg (Config): The config to train with.
        given (int, optional): What the user says.

    Returns:
        int: That, or ImageNet over the config's global batch.

    Raises:
        CheckpointError: The user says nothing and the config is of another
            data set.
    """
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
    return IMAGENET // batch


def parameter_order(official: Official) -> Optional[List[str]]:
    """Names of the parameters in the order of the file's optimizer.

    torch numbers them in the order in which the model registers them, which
    is the order of the weights in the file.

    Args:
        official (Official): The file.

    Returns:
        list[str] | None: Names in the file, None when their number is
        neither that of all parameters nor that of the query encoder's.
    """
    every = [
        name for name in official.state
        if name.rsplit('.', 1)[-1] not in BUFFERS
    ]
    query = METHODS[official.method].query
    own = [name for name in every if name.startswith(query)]
    groups = (official.optimizer or {}).get('param_groups', ())
    count = sum(len(group['params']) for group in groups)
    return {len(every): every, len(own): own}.get(count)


def momenta(official: Official, key: str,
            notes: List[str]) -> Dict[str, Tensor]:
    """Momentum of each parameter in the file.

    Args:
        official (Official): The file.
        key (str): What the optimizer to come calls it.
        notes (list[str]): Told when there is none, and why.

    Returns:
        dict[str, Tensor]: By the package's names; empty when it cannot be
        used.
    """

    def none(reason: str) -> Dict[str, Tensor]:
        notes.append(f'momentum starts at zero: {reason}')
        return {}

    if official.optimizer is None:
        return none('the file has no optimizer')
    state = official.optimizer.get('state')
    order = parameter_order(official)
    if not isinstance(state, Mapping) or not state:
        return none("the file's optimizer has no state")
    if order is None:
        return none("the file's optimizer has another number of parameters "
                    'than its model')
    indices = [
        index for group in official.optimizer['param_groups']
        for index in group['params']
    ]
    found = {}
    for name, index in zip(order, indices):
        value = state.get(index, {}).get(key)
        if value is None:
            continue
        if not isinstance(value, Tensor) or (value.shape
                                             != official.state[name].shape):
            return none(f'{key} of parameter {index} does not have the shape '
                        f'of {name}')
        found[official.names[name]] = value
    if not found:
        held = sorted({k for entry in state.values() for k in entry})
        return none(f"the file's optimizer has no {key}, only "
                    f'{", ".join(map(str, held))}')
    return found


def resume_entries(cfg: Config, model: nn.Module, epoch: int, length: int,
                   momentum: Mapping[str, Tensor]) -> Dict[str, Any]:
    """Entries of a checkpoint beside weights and meta data.

    Args:
        cfg (Config): The config to train with.
        model (nn.Module): Its model; values are not needed.
        epoch (int): Epochs done.
        length (int): Iterations of each.
        momentum (Mapping[str, Tensor]): By names of parameters.

    Returns:
        dict[str, Any]: 'optimizer', 'param_schedulers', 'message_hub'.
    """
    settings = copy.deepcopy(cfg.optim_wrapper)
    # Mixed precision changes nothing of what is stored but the scale of the
    # loss, with which the originals' files begin anew.
    settings.type = 'OptimWrapper'
    for name in ('loss_scale', 'dtype', 'use_fsdp'):
        settings.pop(name, None)
    optimizer = build_optim_wrapper(model, settings).optimizer
    schedulers = _schedulers(cfg, optimizer, epoch, length)
    key = MOMENTUM[settings.optimizer.type]
    names = {id(p): name for name, p in model.named_parameters()}
    stored = optimizer.state_dict()
    state, places = {}, (
        p for g in optimizer.param_groups for p in g['params'])
    for index, param in enumerate(places):
        if names[id(param)] in momentum:
            state[index] = {key: momentum[names[id(param)]]}
    return dict(
        optimizer=dict(state=state, param_groups=stored['param_groups']),
        param_schedulers=schedulers,
        message_hub=dict(
            log_scalars={},
            runtime_info=dict(epoch=epoch, iter=epoch * length),
            resumed_keys=dict(epoch=True, iter=True)))


def _schedulers(cfg: Config, optimizer, epoch: int,
                length: int) -> List[Dict[str, Any]]:
    """Run the schedules up to an epoch; leaves the optimizer there.

    Returns:
        list[dict]: Where each one is. Its settings are not among it, so that
        those of the config that resumes count.
    """
    settings = cfg.param_scheduler
    settings = [settings] if isinstance(settings, dict) else settings
    built = []
    for one in settings:
        one = copy.deepcopy(one)
        total = cfg.train_cfg.max_epochs
        one.setdefault('end',
                       total if one.get('by_epoch', True) else total * length)
        built.append(
            PARAM_SCHEDULERS.build(
                one,
                default_args=dict(optimizer=optimizer, epoch_length=length)))
    # they warn when no step of the optimizer was counted before
    optimizer._global_step = 0
    by_epoch = [one for one in built if one.by_epoch]
    by_iter = [one for one in built if not one.by_epoch]
    for _ in range(epoch):
        for _ in range(length if by_iter else 0):
            for one in by_iter:
                one.step()
        for one in by_epoch:
            one.step()
    return [{
        name: one.state_dict()[name]
        for name in ('last_step', '_global_step', '_last_value')
    } for one in built]


def check_learning_rate(official: Official, cfg: Config, epoch: int,
                        length: int, notes: List[str]) -> None:
    """Compare the file's last learning rate with the config's schedule.

    Args:
        official (Official): The file.
        cfg (Config): The config to train with.
        epoch (int): Epochs done.
        length (int): Iterations of each.
        notes (list[str]): Told when they differ.
    """
    groups = (official.optimizer or {}).get('param_groups') or [{}]
    theirs = groups[0].get('lr')
    if theirs is None or epoch < 1:
        return
    ours = _rate(cfg, epoch, length)
    if abs(theirs - ours) > 0.01 * max(abs(theirs), abs(ours)):
        notes.append(
            f'the file ended with lr {theirs:.6g}, and the config trains the '
            f'epoch that it ended with lr {ours:.6g}: batch, length or '
            'method differ; choose the config of its run with --config')


def _rate(cfg: Config, epoch: int, length: int) -> float:
    """Learning rate in the last iteration of an epoch's training."""
    from torch.optim import SGD
    optimizer = SGD([nn.Parameter()], cfg.optim_wrapper.optimizer.lr)
    by_iter = any(
        one.get('convert_to_iter_based') or not one.get('by_epoch', True)
        for one in cfg.param_scheduler)
    _schedulers(cfg, optimizer, epoch if by_iter else epoch - 1, length)
    return optimizer.param_groups[0]['lr']


def epoch_and_length(official: Official, cfg: Config, given: Optional[int],
                     notes: List[str]) -> Tuple[int, int]:
    """Epochs done and iterations of each.

    Args:
        official (Official): The file.
        cfg (Config): The config to train with.
        given (int, optional): Iterations of an epoch, by the user.
        notes (list[str]): Told when the file does not tell its epoch.

    Returns:
        tuple[int, int]: Epochs, iterations.
    """
    if official.epoch is None:
        notes.append('the file does not tell how many epochs it was trained; '
                     'a resumed run counts from 0')
    return official.epoch or 0, iterations(cfg, given)
