"""Import optional packages, or say how to install them."""
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Optional

# No extra contains mmcv, because mmcv and mmcv-lite have the same modules. So
# mmcv-lite is named separately.
HOST_FIX = 'pip install "caco_ext[mmselfsup]" mmcv-lite==2.0.1'

HOSTS = ('mmselfsup', 'mmcls', 'mmpretrain', 'mmdet', 'mmseg')


class MissingExtraError(ImportError):
    """A feature needs a package that is not installed; says how to get it."""


def missing_extra(what: str,
                  package: str,
                  extra: str,
                  instead: str = '') -> MissingExtraError:
    """Make the error that says what to install.

    Args:
        what (str): What needs the package, as the beginning of a sentence.
        package (str): Name of the package.
        extra (str): The extra of this distribution that contains it.
        instead (str): Another way out, as the end of the sentence.
            Defaults to none.

    Returns:
        MissingExtraError: The error, with a message of one line.
    """
    return MissingExtraError(
        f'{what} needs {package}, which is not installed: '
        f'pip install "caco_ext[{extra}]"{instead}')


def import_extra(module: str, extra: str, what: str) -> ModuleType:
    """Import a module of an optional package.

    Args:
        module (str): Its full name.
        extra (str): The extra of this distribution that brings it.
        what (str): What needs it, as the beginning of a sentence.

    Returns:
        module: The module.

    Raises:
        MissingExtraError: It, or a package that it needs, is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = (error.name or module).partition('.')[0]
        raise missing_extra(what, package, extra) from error


def check_host(scope: Optional[str]) -> None:
    """Check that the host whose names a config uses can be imported.

    Args:
        scope (str, optional): ``default_scope`` of the config.

    Raises:
        MissingExtraError: It cannot be imported.
    """
    # mmpretrain also provides others' names; see compat.mmpretrain_scopes.
    if scope in HOSTS and f'{scope}.registry' not in sys.modules \
            and find_spec(scope) is None:
        raise MissingExtraError(
            f"The config's default_scope {scope!r} needs a host, and none of "
            f'that name is installed: {HOST_FIX}, or another of docs/hosts.md')
