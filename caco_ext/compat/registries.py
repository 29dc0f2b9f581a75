# Licensed under the Apache License, Version 2.0.
"""Suggest classes for a misspelt type."""
import re
from typing import Any, Callable, Dict, Iterator, Tuple

from mmengine.registry import Registry

from caco_ext.utils.errors import UsageError
from caco_ext.utils.names import nearest_names
from caco_ext.utils.patching import replaces
from .versions import Outcome

_UNKNOWN = re.compile(r'(\S+) is not in the (\S+)::(.+?) registry\.')


def _known_names(registry: Registry, scope: str) -> Dict[str, str]:
    """For each class name, how to write it as ``type`` in a config of a scope.
    """
    root = registry._get_root_registry()
    names = {}
    # If several classes have a name, the one that needs no scope wins.
    children = sorted(root.children.values(), key=lambda c: c.scope == scope)
    for one in (*children, root):
        prefix = '' if one is root or one.scope == scope else f'{one.scope}.'
        names.update({name: prefix + name for name in one.module_dict})
    return names


def _unknown(registry: Registry, name: str, scope: str, kind: str) -> str:
    """Message for an unknown class, with similar names."""
    names = _known_names(registry, scope)
    nearest = nearest_names(name.rpartition('.')[2], names)
    hint = ('nearest: ' + ', '.join(names[one] for one in nearest)
            if nearest else 'is the module that has it in custom_imports?')
    return f'{name} is not in the {scope}::{kind} registry; {hint}'


def name_the_nearest_type() -> Outcome:
    """Say which class a misspelt ``type`` may mean.

    What breaks: mmengine 0.10 says only that ``CaCoo`` is in no registry, in
    four lines, and where to read about registries.

    Remedy: one line that names the nearest class.

    Needed while mmengine 0.10 is the engine.
    """

    @replaces(Registry, 'build')
    def build_or_suggest(build: Callable, self: Registry, cfg: Any, *args: Any,
                         **kwargs: Any) -> Any:
        try:
            return build(self, cfg, *args, **kwargs)
        except KeyError as error:
            unknown = _UNKNOWN.match(str(error.args[0] if error.args else ''))
            if unknown is None:
                raise
            raise KeyError(_unknown(self, *unknown.groups())) from error

    return True, 'mmengine suggests no name for a misspelt type'


def _dicts(node: Any, key: str = '') -> Iterator[Tuple[str, dict]]:
    """Go through all dicts of a config, each with the key that it is under."""
    if isinstance(node, dict):
        yield key, node
        for name, value in node.items():
            yield from _dicts(value, name)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _dicts(value, key)


def check_types_first() -> Outcome:
    """Check types that the hosts look up without checking the result.

    What breaks: mmengine 0.10 and mmcv 2.0 continue with None for an unknown
    optimizer, ``collate_fn``, layer or norm. The error is then ``None is not a
    callable object`` or ``Cannot find None in registry``. A log processor is
    looked up before there is a log that could hold the traceback.

    Remedy: look these up before a runner is built from a config.

    Needed while mmengine 0.10 and mmcv 2.0 are hosts.
    """
    from mmengine.registry import FUNCTIONS, LOG_PROCESSORS, MODELS, OPTIMIZERS
    from mmengine.runner import Runner
    looked_up = dict(
        optimizer=OPTIMIZERS,
        collate_fn=FUNCTIONS,
        worker_init_fn=FUNCTIONS,
        log_processor=LOG_PROCESSORS,
        norm_cfg=MODELS,
        conv_cfg=MODELS)

    def check(key: str, node: dict, scope: str) -> None:
        name = node.get('type')
        if key not in looked_up or not isinstance(name, str):
            return
        registry = looked_up[key]
        if registry is FUNCTIONS:  # the hosts have none of their own
            found = registry.get(name)
        else:
            with registry.switch_scope_and_registry(scope) as scoped:
                found = scoped.get(name)
        if found is None:
            raise UsageError(_unknown(registry, name, scope, registry.name))

    @replaces(Runner, 'from_cfg')
    def from_checked_cfg(from_cfg: Callable, cls: type, cfg: Any) -> Runner:
        scope = cfg.get('default_scope') or 'mmengine'
        for key, node in _dicts(getattr(cfg, '_cfg_dict', cfg)):
            check(key, node, node.get('_scope_', scope))
        return from_cfg(cls, cfg)

    return True, 'mmengine and mmcv go on with None for an unknown type'
