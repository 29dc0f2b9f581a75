"""Import a package's modules when their names are first used."""
from importlib import import_module
from typing import Any, Mapping, Sequence


def lazy_attribute(package: str, files: Mapping[str, Sequence[str]],
                   name: str) -> Any:
    """Result of a package's ``__getattr__``.

    Args:
        package (str): The package's ``__name__``.
        files (Mapping[str, Sequence[str]]): For each module of the package,
            the names that the package offers from it.
        name (str): The requested name.

    Returns:
        Any: The module's object of this name.

    Raises:
        AttributeError: No module of ``files`` has it.
    """
    for file, names in files.items():
        if name in names:
            return getattr(import_module(f'{package}.{file}'), name)
    raise AttributeError(f'module {package!r} has no attribute {name!r}')
