"""Lets any config say ``_base_ = 'caco_ext::selfsup/...'``.

mmengine looks up the name before ``::`` in a fixed table while it parses a
config. This is before ``custom_imports`` could import this package. So the
entry must exist although nobody has imported ``caco_ext``. An installation
puts this file beside the package as ``caco_ext_startup.py``, with a ``.pth``
file whose only line imports it when Python starts.

It runs in every Python of the environment. So it imports only modules that
Python has already loaded. It adds a finder that does nothing until mmengine
or openmim is imported. From then on it acts after two imports:

* ``mmengine.config.config``: it adds the entry. It also makes mmengine build
  inherited dicts in the scope of the host, as this package registers in the
  root registries and has no scope. The host is mmselfsup, or for a benchmark
  the one that trains it. If mmpretrain is installed and mmcls is not,
  ``mmcls::`` leads to mmpretrain. Names of packages in the table are replaced
  by those of installed forks: with onedl-mmsegmentation, mmengine would not
  find ``mmseg::``.
* ``pkg_resources``, by which mmengine and openmim find an installed package.
  It expects an editable installation in ``site-packages``, where only its
  metadata is. Here it is told the real folder.

The environment variable ``CACO_EXT_NO_STARTUP``, set to anything, switches
all of this off.
"""
import os
import sys

TYPE_CHECKING = False  # importing typing would cost every Python time
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any, Callable, Dict, Optional, Sequence, Tuple

PACKAGE = 'caco_ext'
SWITCH = 'CACO_EXT_NO_STARTUP'
# Packages that find other packages' configs. The finder waits for them.
READERS = ('mmengine', 'mim')
# Scope of a config by its folder below ``configs``. Configs that several hosts
# share have the scope of the config that inherits them.
SCOPES = {
    'benchmarks/_base_/': None,
    'benchmarks/classification/': 'mmcls',
    'benchmarks/mmdetection/': 'mmdet',
    'benchmarks/mmsegmentation/': 'mmseg',
}
HOST_SCOPE = 'mmselfsup'


def scope_of(config: str) -> 'Optional[str]':
    """Name the scope that a config of this package is written for.

    Args:
        config (str): Its path below ``configs``.

    Returns:
        str | None: The scope of the host that trains it. None means the scope
        of the config that inherits it.
    """
    for folder, scope in SCOPES.items():
        if config.startswith(folder):
            return scope
    return HOST_SCOPE


def installed(package: str) -> bool:
    """Whether a package can be imported.

    Args:
        package (str): Its name.

    Returns:
        bool: True if so.
    """
    from importlib.util import find_spec
    return find_spec(package) is not None


def distributed(name: str) -> bool:
    """Whether a distribution is installed.

    Args:
        name (str): Its name.

    Returns:
        bool: True if so.
    """
    from importlib.metadata import PackageNotFoundError, distribution
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def adopt_configs(module: 'ModuleType') -> None:
    """Make mmengine accept ``caco_ext::`` in ``_base_``.

    Args:
        module (ModuleType): ``mmengine.config.config``, just imported.
    """
    table = getattr(
        sys.modules.get('mmengine.config.utils'), 'MODULE2PACKAGE', None)
    find = getattr(getattr(module, 'Config', None), '_get_cfg_path', None)
    if table is None or find is None:
        # Another mmengine than the supported one. This runs in programs that
        # have nothing to do with caco_ext, so it must not stop them.
        return
    table.setdefault(PACKAGE, PACKAGE)
    for name, package in table.items():
        if not distributed(package) and distributed(f'onedl-{package}'):
            table[name] = f'onedl-{package}'

    def get_cfg_path(cfg_path: str,
                     filename: str) -> 'Tuple[str, Optional[str]]':
        if cfg_path.startswith('mmcls::') and not installed('mmcls') \
                and installed('mmpretrain'):
            cfg_path = cfg_path.replace('mmcls', 'mmpretrain', 1)
        path, scope = find(cfg_path, filename)
        if scope == PACKAGE:
            scope = scope_of(cfg_path.partition('::')[2])
        return path, scope

    module.Config._get_cfg_path = staticmethod(get_cfg_path)


def split_values(text: str) -> list:
    """Split a text at its commas.

    Args:
        text (str): Such as ``1, (2, 3), "a, b"``.

    Returns:
        list[str]: The parts. Commas in brackets or quotes do not count.

    Raises:
        ValueError: The brackets do not match.
    """
    import re

    # Only at the start of a value; elsewhere it may be an apostrophe.
    quoted = re.compile(r'\s*(["\']).*?\1\s*(?=[,)\]]|$)')
    parts, begin, place, depth, is_begin = [], 0, 0, 0, True
    while place < len(text):
        skipped = quoted.match(text, place) if is_begin else None
        if skipped:
            place, is_begin = skipped.end(), False
            continue
        char = text[place]
        depth += (char in '([') - (char in ')]')
        if char == ',' and depth == 0:
            parts.append(text[begin:place])
            begin = place + 1
        is_begin = char in ',(['
        place += 1
    if depth and ',' in text:
        raise ValueError(f'brackets that do not match in {text}; a text with '
                         'brackets and commas needs quotes around it')
    return [*parts, text[begin:]]


def parse_value(text: str, parse_word: 'Callable[[str], Any]') -> 'Any':
    """Read the value of an option of a command line.

    Args:
        text (str): A word, ``[a,b]`` or ``a,b`` for a list, ``(a,b)`` for a
            tuple. A part of a list or tuple begins and ends where its blanks
            do. Quotes around a text keep its commas and blanks.
        parse_word (Callable): Turns a word into a number, bool or None, and
            leaves any other text unchanged.

    Returns:
        Any: The value. A text keeps all its blanks.
    """
    bare = text.strip()
    is_quoted = bare[:1] in ('"', "'") and bare.find(bare[0],
                                                     1) == len(bare) - 1
    if is_quoted:
        text = bare[1:-1]
        bare = text.strip()
    ends = bare[:1] + bare[-1:]
    parts = [bare]
    if ends in ('()', '[]') or not is_quoted:
        parts = split_values(bare)
    in_brackets = len(parts) == 1 and ends in ('()', '[]')
    if in_brackets:
        parts = split_values(bare[1:-1])
    elif len(parts) == 1 or is_quoted:
        value = parse_word(bare)
        return text if isinstance(value, str) else value
    if not parts[-1].strip():
        parts.pop()  # a comma at the end, or nothing at all
    values = [parse_value(part.strip(), parse_word) for part in parts]
    return tuple(values) if in_brackets and ends == '()' else values


def keep_blanks(module: 'ModuleType') -> bool:
    """Let ``--cfg-options`` keep the blanks of a path.

    Args:
        module (ModuleType): ``mmengine.config.config``.

    Returns:
        bool: Whether it did; False for another mmengine than the supported.
    """
    action: 'Any' = getattr(module, 'DictAction', None)
    parse_word = getattr(action, '_parse_int_float_bool', None)
    if parse_word is None or not hasattr(action, '_parse_iterable'):
        return False
    action._parse_iterable = staticmethod(
        lambda text: parse_value(text, parse_word))
    return True


def adapt_config_module(module: 'ModuleType') -> None:
    """Adapt mmengine's config module after its import.

    Args:
        module (ModuleType): ``mmengine.config.config``, just imported.
    """
    adopt_configs(module)
    keep_blanks(module)


def locate_editable(module: 'ModuleType') -> None:
    """Tell ``pkg_resources`` where an editable installation really is.

    Args:
        module (ModuleType): ``pkg_resources``, just imported or reloaded.
    """
    import importlib.util
    import os.path as osp
    dist = module.working_set.find(module.Requirement.parse(PACKAGE))
    if dist is None or osp.isdir(osp.join(dist.location, PACKAGE)):
        return
    spec = importlib.util.find_spec(PACKAGE)
    if spec is not None and spec.origin is not None:
        dist.location = osp.dirname(osp.dirname(spec.origin))


class AfterImport:
    """A finder that finds nothing itself but acts after an import.

    Args:
        actions (dict[str, Callable]): Function to call with a module, by the
            module's full name.
        readers (Sequence[str]): Wait until one of these packages is imported.
            Defaults to none: begin at once.
    """

    def __init__(
        self,
        actions: "Dict[str, Callable[[ModuleType], None]]",
        readers: 'Sequence[str]' = ()
    ) -> None:
        self.actions = actions
        self.readers = readers

    def find_spec(
            self,
            name: str,
            path: 'Optional[Sequence[str]]' = None,
            target: 'Optional[ModuleType]' = None) -> 'Optional[ModuleSpec]':
        """Let the other finders find ``name`` and add the action to it.

        Args:
            name (str): Full name of the module to be imported.
            path (Sequence[str] | None): Where to look; of the parent package.
            target (ModuleType | None): The module to be reloaded.

        Returns:
            ModuleSpec | None: The others' spec; None for modules without an
            action.
        """
        if self.readers:
            if name not in self.readers:
                return None
            self.readers = ()
        action = self.actions.get(name)
        if action is None:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, 'find_spec'):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                break
        else:
            return None
        execute = getattr(spec.loader, 'exec_module', None)
        if execute is not None:

            def exec_module(module: 'ModuleType') -> None:
                execute(module)
                action(module)

            # Set on the instance, which belongs to this import only. So the
            # loader's class does not change.
            setattr(spec.loader, 'exec_module', exec_module)
        return spec


def install() -> None:
    """Put the finder in front of the others."""
    sys.meta_path.insert(
        0,
        AfterImport(
            {
                'mmengine.config.config': adapt_config_module,
                'pkg_resources': locate_editable
            }, READERS))


if __name__ == 'caco_ext_startup' and not os.environ.get(SWITCH):
    # Not when tests or documentation tools import it from the package.
    install()
