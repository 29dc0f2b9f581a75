"""Functions of other packages that ours take the place of."""
import functools
import inspect
from typing import Any, Callable, TypeVar

Function = TypeVar('Function', bound=Callable)


def replaces(owner: Any, name: str) -> Callable[[Function], Function]:
    """Make a function take the place of a host's.

    It gets the host's function as its first argument, and then what that one
    is called with. However often a module is loaded or a remedy is applied,
    it is put in place once. Several functions may stand in one place.

    Args:
        owner (type | module): Whose function it is.
        name (str): Its name.

    Returns:
        Callable: A decorator, which returns the function as it is.

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
