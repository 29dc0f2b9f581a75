"""Compare the settings of two configs that change a run's numbers."""
import ast
from typing import Any, Dict, FrozenSet, Iterator, List, NamedTuple, Optional

from mmengine.hooks import (CheckpointHook, EmptyCacheHook, IterTimerHook,
                            LoggerHook, NaiveVisualizationHook, PrepareTTAHook,
                            ProfilerHook, RuntimeInfoHook)
from mmengine.registry import HOOKS

from .files import was_stopped

# Parts of a config that change the numbers, and the names in them that do not:
# location and reading of the data, speed and memory. The batch size is free,
# as the global one is compared elsewhere. So are the data set's paths, as its
# list of pictures is compared.
COMPARED: Dict[str, FrozenSet[str]] = dict(
    model=frozenset(('init_cfg', 'shard', 'cache_mib', 'compile_backbones',
                     'channels_last')),
    data_preprocessor=frozenset(),
    optim_wrapper=frozenset(),
    param_scheduler=frozenset(),
    auto_scale_lr=frozenset(),
    train_cfg=frozenset(('val_begin', 'val_interval', 'dynamic_intervals')),
    train_dataloader=frozenset(
        ('batch_size', 'num_workers', 'persistent_workers', 'pin_memory',
         'pin_memory_device', 'prefetch_factor', 'timeout',
         'multiprocessing_context', 'data_root', 'ann_file', 'data_prefix',
         'serialize_data', 'lazy_init', 'max_broken_share', 'backend_args',
         'file_client_args')),
    randomness=frozenset(),
    model_wrapper_cfg=frozenset(),
    sync_bn=frozenset(),
    efficient_conv_bn_eval=frozenset(),
    default_hooks=frozenset(),
    custom_hooks=frozenset())
# Hooks of the host that only watch a run. Ours have `changes_numbers`.
_WATCHERS = (CheckpointHook, EmptyCacheHook, IterTimerHook, LoggerHook,
             NaiveVisualizationHook, PrepareTTAHook, ProfilerHook,
             RuntimeInfoHook)
# mmengine adds these two even if the config does not name them.
_ACTING = dict(
    param_scheduler=dict(type='ParamSchedulerHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'))


class _Unset:

    def __repr__(self) -> str:
        return 'not set'


UNSET = _Unset()


class Expression(str):
    """Source text of a value that is not plain data."""


class Change(NamedTuple):
    """A setting whose value differs from the checkpoint's.

    Attributes:
        option (str): Its dotted name.
        before (Any): The checkpoint's value, ``UNSET`` for none.
        now (Any): The present one.
    """
    option: str
    before: Any
    now: Any

    def __str__(self) -> str:
        return (f'{self.option}: {_short(self.before)} in the checkpoint, '
                f'{_short(self.now)} now')


def _short(value: Any) -> str:
    text = str(value) if isinstance(value, Expression) else repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


def parse(text: str) -> Dict[str, Any]:
    """Read the text of a config in a checkpoint without executing it.

    Args:
        text (str): Text from ``Config.pretty_text``.

    Returns:
        dict[str, Any]: The config.

    Raises:
        ValueError: It is not such a text.
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f'no config: {error}') from error
    return {
        one.targets[0].id: _value(one.value)
        for one in statements
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name)
    }


def _value(node: Any) -> Any:
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {
            _value(key): _value(value)
            for key, value in zip(node.keys, node.values)
        }
    if isinstance(node, ast.Call) and isinstance(
            node.func, ast.Name) and node.func.id == 'dict':
        found = {}
        for one in (*node.args, *node.keywords):
            if isinstance(one, ast.keyword) and one.arg is not None:
                found[one.arg] = _value(one.value)
            else:  # dict({...}), dict(**{...})
                found.update(_value(getattr(one, 'value', one)))
        return found
    if isinstance(node, (ast.List, ast.Tuple)):
        kind = list if isinstance(node, ast.List) else tuple
        return kind(_value(one) for one in node.elts)
    if isinstance(node, ast.Name) and node.id in ('inf', 'nan'):
        return float(node.id)
    try:
        return ast.literal_eval(node)
    except ValueError:
        return Expression(ast.unparse(node))


def part(cfg: Dict[str, Any], name: str) -> Any:
    """One of the compared parts of a config.

    Args:
        cfg (dict[str, Any]): A config.
        name (str): Its name, a key of ``COMPARED``.

    Returns:
        Any: Those of its settings that change the numbers; ``UNSET`` if none
        do.
    """
    value = cfg.get(name)
    scope = cfg.get('default_scope')
    if name == 'auto_scale_lr' and not (value or {}).get('enable'):
        value = None  # the base class does nothing
    if name == 'default_hooks':
        value = {
            key: hook
            for key, hook in {
                **_ACTING,
                **(value or {})
            }.items() if key in _ACTING or (hook and acts(hook, scope))
        }
    if name == 'custom_hooks':
        value = [hook for hook in value or [] if acts(hook, scope)]
    return UNSET if value is None else value


def acts(hook: Dict[str, Any], scope: Optional[str] = None) -> bool:
    """Whether a hook may change a run's numbers.

    Args:
        hook (dict[str, Any]): Its config.
        scope (str, optional): The config's default scope.

    Returns:
        bool: False for hooks that are known only to watch: the host's, and
        those whose class has ``changes_numbers = False``.
    """
    kind = hook.get('type')
    if isinstance(kind, str):
        with HOOKS.switch_scope_and_registry(hook.get('_scope_',
                                                      scope)) as registry:
            kind = registry.get(kind)
    if not isinstance(kind, type):
        return True
    return getattr(kind, 'changes_numbers', not issubclass(kind, _WATCHERS))


def differences(before: Dict[str, Any], now: Dict[str, Any]) -> List[Change]:
    """Settings that change a run's numbers and differ between two configs.

    Args:
        before (dict[str, Any]): The checkpoint's config, from :func:`parse`.
        now (dict[str, Any]): The present one, likewise.

    Returns:
        list[Change]: Each setting that differs.
    """
    found: List[Change] = []
    for name, free in COMPARED.items():
        found += _differences(part(before, name), part(now, name), free, name)
    # A config without a seed uses that of the checkpoint.
    return [
        one for one in found
        if one.option != 'randomness.seed' or one.now not in (None, UNSET)
    ]


def _differences(before: Any, now: Any, free: FrozenSet[str],
                 where: str) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*before, *now)):
            if key not in free and key != '_scope_':
                yield from _differences(
                    before.get(key, UNSET), now.get(key, UNSET), free,
                    f'{where}.{key}')
    elif _is_list(before) and _is_list(now):
        for i in range(max(len(before), len(now))):
            one, other = (
                values[i] if i < len(values) else UNSET
                for values in (before, now))
            yield from _differences(one, other, free, f'{where}.{i}')
    # NaN differs from itself.
    elif before != now and not (before != before and now != now):
        yield Change(where, before, now)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def keep(before: Dict[str, Any], now: Dict[str, Any]) -> Dict[str, Any]:
    """Replace the compared settings by the checkpoint's values.

    Args:
        before (dict[str, Any]): The checkpoint's config, from :func:`parse`.
        now (dict[str, Any]): The present one, as a plain dict.

    Returns:
        dict[str, Any]: A config that :func:`differences` finds equal.

    Raises:
        ValueError: The checkpoint holds a value only as an expression.
    """
    kept = dict(now)
    for name, free in COMPARED.items():
        kept[name] = _keep(part(before, name), now.get(name, UNSET), free)
    scope = now.get('default_scope')
    hooks = {
        key: hook
        for key, hook in (now.get('default_hooks') or {}).items()
        if key not in _ACTING and not (hook and acts(hook, scope))
    }
    kept['default_hooks'] = {**hooks, **kept['default_hooks']}
    kept['custom_hooks'] = kept['custom_hooks'] + [
        hook
        for hook in now.get('custom_hooks') or [] if not acts(hook, scope)
    ]
    return {name: value for name, value in kept.items() if value is not UNSET}


def _keep(before: Any, now: Any, free: FrozenSet[str]) -> Any:
    if isinstance(before, Expression):
        raise ValueError(f'{before} in the config of the checkpoint is no '
                         'plain value and cannot be kept')
    if isinstance(before, dict):
        now = now if isinstance(now, dict) else {}
        kept = {
            key: _keep(value, now.get(key, UNSET), free)
            for key, value in before.items() if key not in free
        }
        for key in free:
            value = now.get(key, before.get(key, UNSET))
            if value is not UNSET:
                kept[key] = value
        return kept
    if _is_list(before):
        others = now if _is_list(now) and len(now) == len(
            before) else [UNSET] * len(before)
        return type(before)(_keep(value, other, free)
                            for value, other in zip(before, others))
    return before


def goes_on_by_itself(cfg: Dict[str, Any]) -> bool:
    """Whether a run that a signal stopped is resumed automatically.

    Args:
        cfg (dict[str, Any]): The config, with its ``work_dir``.

    Returns:
        bool: True if so; see :class:`caco_ext.engine.hooks.PreemptionHook`.
    """
    hooks = [
        *(cfg.get('default_hooks') or {}).values(),
        *(cfg.get('custom_hooks') or [])
    ]
    return was_stopped(cfg['work_dir']) and any(
        hook and hook.get('type') == 'PreemptionHook'
        and hook.get('auto_resume', True) for hook in hooks)
