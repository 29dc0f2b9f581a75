"""Names of a package whose files are imported when they are first used."""
from importlib import import_module
from typing import Any, Mapping, Sequence


def lazy_attribute(package: str, files: Mapping[str, Sequence[str]],
                   name: str) -> Any:
    """What a package's ``__getattr__`` returns.

    Args:
        package (str): The package's ``__name__``.
        files (Mapping[str, Sequence[str]]): By module of the package, the
            names that the package lends from it.
        name (str): The name that is asked for.

    Returns:
        Any: What the module calls so.

    Raises:
        AttributeError: No module of ``files`` has it.
    """
    for file, names in files.items():
        if name in names:
            return getattr(import_module(f'{package}.{file}'), name)
    raise AttributeError(f'module {package!r} has no attribute {name!r}')
