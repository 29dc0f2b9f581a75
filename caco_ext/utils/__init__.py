"""Helpers for all other packages.

Nothing is imported before it is used. The check of the installed packages
needs ``environment`` and also runs if mmengine and torch are missing.
"""
from typing import Any

from .lazy import lazy_attribute

_FILES = dict(
    errors=['UsageError'],
    launch=['add_common_arguments', 'load_config', 'make_parser', 'run_tool'],
    options=['check_options'],
    weights=['describe_differences'])
__all__ = [name for names in _FILES.values() for name in names]


def __getattr__(name: str) -> Any:
    return lazy_attribute(__name__, _FILES, name)
