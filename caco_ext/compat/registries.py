# Licensed under the Apache License, Version 2.0.
"""Names that a config has wrong."""
import functools
import re
from typing import Dict, Tuple

_UNKNOWN = re.compile(r'(\S+) is not in the (\S+)::(.+?) registry\.')


def _names(registry, scope: str) -> Dict[str, str]:
    """List what a type may be called where a config is read in a scope.

    Args:
        registry (Registry): Any of a tree.
        scope (str): The scope.

    Returns:
        dict[str, str]: What to write, by the name of the class.
    """
    root = registry._get_root_registry()
    names = {}
    # Of classes of one name that counts which needs no scope in front.
    children = sorted(root.children.values(), key=lambda c: c.scope == scope)
    for one in (*children, root):
        prefix = '' if one is root or one.scope == scope else f'{one.scope}.'
        names.update({name: prefix + name for name in one.module_dict})
    return names


def name_the_nearest_type() -> Tuple[bool, str]:
    """Say which class a misspelt ``type`` may mean.

    What breaks: mmengine 0.10 says only that ``CaCoo`` is in no registry, in
    four lines, and where to read about registries. Remedy: one line that
    names the nearest class.

    Returns:
        tuple[bool, str]: Whether it is in force, and why.
    """
    from mmengine.registry import Registry

    from ..utils.names import nearest_names
    build = Registry.build
    if hasattr(build, 'caco_ext'):
        return True, 'done before'

    @functools.wraps(build)
    def build_or_suggest(self, cfg, *args, **kwargs):
        try:
            return build(self, cfg, *args, **kwargs)
        except KeyError as error:
            unknown = _UNKNOWN.match(str(error.args[0] if error.args else ''))
            if unknown is None:
                raise
            name, scope, kind = unknown.groups()
            names = _names(self, scope)
            nearest = nearest_names(name.rpartition('.')[2], names)
            hint = ('nearest: ' + ', '.join(names[n]
                                            for n in nearest) if nearest else
                    'is the module that has it in custom_imports?')
            raise KeyError(f'{name} is not in the {scope}::{kind} registry; '
                           f'{hint}') from error

    build_or_suggest.caco_ext = True
    Registry.build = build_or_suggest
    return True, 'mmengine suggests no name for a misspelt type'
