# Licensed under the Apache License, Version 2.0.
"""The scopes of mmselfsup and mmcls if mmpretrain is the host."""
import sys
from importlib import import_module
from types import ModuleType
from typing import Any, Optional, Type

from mmengine import registry as roots
from mmengine.registry import Registry

from caco_ext.utils.environment import installed_version
from .versions import Outcome, providers

# mmpretrain replaced these two. Its classes have the same names and arguments,
# except for those in `mmpretrain_parts`.
SCOPES = ('mmselfsup', 'mmcls')
# mmengine warns of a registry without a module to import as not installed.
PARTS = dict(mmselfsup=['caco_ext.compat.mmpretrain_parts'], mmcls=[__name__])


class SuccessorRegistry(Registry):
    """Finds a former package's classes in the package that replaced it.

    Args:
        name (str): Name of the registry in ``mmengine.registry``, such as
            'MODELS'.
        scope (str): The former package.
    """

    def __init__(self, name: str, scope: str) -> None:
        root = getattr(roots, name)
        super().__init__(
            root.name, parent=root, scope=scope, locations=PARTS[scope])
        self.attribute = name

    def get(self, key: str) -> Optional[Type]:
        """Find a class: ours if it differs, else mmpretrain's, else
        mmengine's; for another scope that scope's."""
        self.import_from_location()
        scope, name = self.split_scope_key(key)
        if scope in (None, self.scope):
            own = self.module_dict.get(name)
            if own is not None:
                return own
            # On demand, as this imports all of mmpretrain.
            successor: Any = getattr(
                import_module('mmpretrain.registry'), self.attribute,
                self.parent)
            return successor.get(name)
        return super().get(key)


def lend_former_scopes() -> Outcome:
    """Let configs written for mmselfsup and mmcls run on mmpretrain.

    What breaks: nothing; but mmpretrain, the successor of both, has other
    names and arguments for some parts (``PackInputs`` for
    ``PackSelfSupInputs``, stages of ResNet counted without the stem).

    Remedy: where mmselfsup is not installed, two scopes of these names whose
    registries hold what differs and pass everything else on to mmpretrain. So
    one config serves both hosts, and a checkpoint's config too.

    Needed while configs speak the language of mmselfsup.
    """
    if installed_version('mmselfsup') is not None:
        return False, 'mmselfsup is installed'
    if not providers('mmpretrain'):
        return False, 'mmpretrain is not installed'
    for scope in SCOPES:
        if f'{scope}.registry' in sys.modules:
            continue
        # mmengine imports this module to set up a scope. If it cannot, it
        # warns whenever it builds something.
        module = ModuleType(f'{scope}.registry', lend_former_scopes.__doc__)
        for name, root in vars(roots).items():
            if isinstance(root, Registry):
                setattr(module, name, SuccessorRegistry(name, scope))
        sys.modules[module.__name__] = module
    return True, 'mmpretrain answers to the names of mmselfsup and mmcls'
