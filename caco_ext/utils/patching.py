"""Replace functions of other packages."""
import functools
import inspect
from typing import Any, Callable, TypeVar

Function = TypeVar('Function', bound=Callable)


def replaces(owner: Any, name: str) -> Callable[[Function], Function]:
    """Replace a host's function by the decorated one.

    The new function gets the host's function as its first argument, and then
    the arguments of the call. It is installed only once, even if a module is
    loaded or a remedy applied several times. Several functions may replace
    the same one; each gets the one before.

    Args:
        owner (type | module): Owner of the function.
        name (str): Its name.

    Returns:
        Callable: A decorator, which returns the new function unchanged.

    Example:
        >>> class Host:
        ...     def price(self, count):
        ...         return 2 * count
        >>> @replaces(Host, 'price')
        ... def with_postage(price, self, count):
        ...     return price(self, count) + 5
        >>> Host().price(10)
        25
    """

    def put(function: Function) -> Function:
        found = inspect.getattr_static(owner, name)
        kind, old = lambda new: new, found
        if isinstance(found, (classmethod, staticmethod)):
            kind, old = type(found), found.__func__
        mark = f'{function.__module__}.{function.__qualname__}'
        marks = getattr(old, 'replaced_by', ())
        if mark in marks:
            return function

        @functools.wraps(old)
        def call(*args: Any, **kwargs: Any) -> Any:
            return function(old, *args, **kwargs)

        setattr(call, 'replaced_by', (*marks, mark))
        setattr(owner, name, kind(call))
        return function

    return put
