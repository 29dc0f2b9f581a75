"""Find ``--cfg-options`` that nothing would read.

mmengine merges any key into a config. So with a misspelt key, a run trains
with the default and nobody notices.
"""
import inspect
from typing import Any, Callable, Iterable, Iterator, Optional, Set, Union

from mmengine.config import Config
from mmengine.registry import (DATA_SAMPLERS, DATASETS, EVALUATOR, HOOKS,
                               LOG_PROCESSORS, LOOPS, METRICS, MODEL_WRAPPERS,
                               MODELS, OPTIM_WRAPPER_CONSTRUCTORS,
                               OPTIM_WRAPPERS, OPTIMIZERS, PARAM_SCHEDULERS,
                               TRANSFORMS, VISBACKENDS, VISUALIZERS)
from mmengine.runner import (EpochBasedTrainLoop, IterBasedTrainLoop, Runner,
                             set_random_seed)
from torch.utils.data import DataLoader

from .names import nearest_names

# Registries of the classes that a config's dicts are built to.
_REGISTRIES = (DATA_SAMPLERS, DATASETS, EVALUATOR, HOOKS, LOG_PROCESSORS,
               LOOPS, METRICS, MODEL_WRAPPERS, MODELS,
               OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS,
               PARAM_SCHEDULERS, TRANSFORMS, VISBACKENDS, VISUALIZERS)
# Keys that the builder of the dict reads before the class gets the rest.
_BUILDER_KEYS = {
    'type', '_scope_', '_delete_', 'priority', 'constructor', 'paramwise_cfg',
    'optimizer', 'convert_to_iter_based'
}
_RUNNER_KEYS = {'custom_imports', 'env_cfg'}
# Hooks that mmengine adds if a config does not name them.
_STOCK_HOOKS = {
    'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler',
    'checkpoint'
}
# Dicts that need no `type`, and that mmengine reads key by key.
_ENV_KEYS = {'cudnn_benchmark', 'tf32', 'mp_cfg', 'dist_cfg', 'resource_limit'}
_SCALE_KEYS = {'base_batch_size', 'enable'}
# In these settings, a number must not be replaced by a text.
_NUMBERS = ('optim_wrapper.optimizer.', 'param_scheduler.', 'train_cfg.',
            'randomness.', 'train_dataloader.batch_size',
            'train_dataloader.num_workers')


def check_options(cfg: Config, options: dict) -> None:
    """Refuse options that nothing in a config would use.

    An option is valid if the config has it, or if the class that is built
    from the surrounding dict takes an argument of that name. If this cannot
    be known, as in dicts for the config's own use, nothing is refused.

    Args:
        cfg (Config): The config before the options are merged.
        options (dict[str, Any]): Values by dotted name.

    Raises:
        ValueError: There is no such option (names the nearest one). Or it is
            a number in the config and a text here.

    Example:
        >>> cfg = Config(dict(optim_wrapper=dict(optimizer=dict(lr=1))))
        >>> check_options(cfg, {'optim_wraper.optimizer.lr': 2})
        Traceback (most recent call last):
        ValueError: no such option: optim_wraper.optimizer.lr; nearest:
        optim_wrapper.optimizer.lr
    """
    for name, value in options.items():
        _check_option(cfg, name, options)
        if isinstance(value, str) and name.startswith(_NUMBERS):
            _check_number(cfg, name, value)


def _check_option(cfg: Config, name: str, options: dict) -> None:
    """Follow a dotted name into the config; refuse it if it is unknown."""
    node, path = cfg._cfg_dict, ''
    for key in name.split('.'):
        if isinstance(node, dict):
            if key not in node:
                accepted = _accepted(node, path, cfg, options)
                if accepted is None or key in accepted:
                    return
                beside = {f'{path}.{k}'.lstrip('.') for k in accepted}
                nearest = nearest_names(name,
                                        beside.union(_names(cfg._cfg_dict)), 1)
                hint = f'; nearest: {nearest[0]}' if nearest else ''
                raise ValueError(f'no such option: {name}{hint}')
            node = node[key]
        elif isinstance(node, (list, tuple)):
            if not key.isdigit() or int(key) >= len(node):
                raise ValueError(
                    f'no such option: {name}; {path} is a list, and its '
                    f'{len(node)} entries are numbered from 0')
            node = node[int(key)]
        else:
            raise ValueError(f'no such option: {name}; {path} is {node!r}, '
                             'which has no options')
        path = f'{path}.{key}'.lstrip('.')


def _check_number(cfg: Config, name: str, value: str) -> None:
    node = cfg._cfg_dict
    for key in name.split('.'):
        if isinstance(node, dict):
            node = node.get(key)
        else:
            node = node[int(key)] if isinstance(node, (list, tuple)) else None
    if isinstance(node, (int, float)):
        raise ValueError(f'{name}={value} is a text, and the config has '
                         f'{node!r} there')


def _names(node: Any, path: str = '') -> Iterator[str]:
    """List the dotted names of everything in a config."""
    if path:
        yield path
    if isinstance(node, dict):
        children = list(node.items())
    elif isinstance(node, (list, tuple)):
        children = list(enumerate(node))
    else:
        return
    for key, value in children:
        yield from _names(value, f'{path}.{key}'.lstrip('.'))


def _accepted(node: dict, path: str, cfg: Config,
              options: dict) -> Optional[Set[str]]:
    """Keys that a dict may have; None if any key is allowed.

    Other options may add keys.
    """
    if not path:
        runner = _parameters(Runner)
        return runner and runner - {'cfg'} | _RUNNER_KEYS | set(node)
    kind = options.get(f'{path}.type', node.get('type'))
    if kind is not None:
        return _accepted_by_type(kind, node, cfg)
    if path.endswith('_dataloader'):
        loader = _parameters(DataLoader)
        return loader and loader - {'self'}
    if path == 'train_cfg':
        return _parameters(
            EpochBasedTrainLoop, IterBasedTrainLoop, more=('by_epoch', 'type'))
    if path == 'default_hooks':
        made = {
            name.split('.')[1]
            for name in options if name.startswith('default_hooks.')
            and name.count('.') == 2 and name.endswith('.type')
        }
        return _STOCK_HOOKS.union(node, made)
    if path == 'randomness':
        return _parameters(set_random_seed)
    return dict(env_cfg=_ENV_KEYS, auto_scale_lr=_SCALE_KEYS).get(path)


def _accepted_by_type(kind: Union[str, type], node: dict,
                      cfg: Config) -> Optional[Set[str]]:
    """Arguments of the class that a dict names; None if they are unknown."""
    if not isinstance(kind, str):
        classes = [kind]
    else:
        scope = node.get('_scope_', cfg.get('default_scope'))
        classes = []
        for registry in _REGISTRIES:
            with registry.switch_scope_and_registry(scope) as scoped:
                classes.append(scoped.get(kind))
    # Several registries may have the same name.
    known = [c for c in classes if c is not None]
    return _parameters(*known, more=_BUILDER_KEYS) if known else None


def _parameters(*kinds: Callable, more: Iterable = ()) -> Optional[Set[str]]:
    """Arguments of classes or functions, including those passed on to base
    classes, and ``more``; None if one of them takes any argument.
    """
    names = set(more)
    for kind in kinds:
        owners = [kind]
        if inspect.isclass(kind):
            owners = [
                vars(c)['__init__'] for c in inspect.getmro(kind)
                if c is not object and '__init__' in vars(c)
            ]
        for owner in owners:
            parameters = inspect.signature(owner).parameters.values()
            names.update(
                p.name for p in parameters
                if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
            if all(p.kind is not p.VAR_KEYWORD for p in parameters):
                break
        else:
            return None
    return names
