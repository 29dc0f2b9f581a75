"""Text of messages."""
import re
from typing import Any, Iterable


def printable(text: str) -> str:
    """Replace bytes that are not characters.

    Python represents the bytes of a file name that is not UTF-8 by
    surrogates. Most files cannot hold these.

    Args:
        text (str): Any text, such as a path.

    Returns:
        str: U+FFFD in place of each such byte.

    Example:
        >>> printable('caf\\udce9') == 'caf\\ufffd'
        True
    """
    return re.sub('[\ud800-\udfff]', '\ufffd', text)


def first_of(names: Iterable[Any], count: int = 3, sep: str = ', ') -> str:
    """Name the first few of many.

    Args:
        names (Iterable[Any]): What to name, in the order to name it.
        count (int): How many to name. Defaults to 3.
        sep (str): Separator. Defaults to ', '.

    Returns:
        str: The first names, and the number of the others.

    Example:
        >>> first_of('abcde')
        'a, b, c and 2 more'
        >>> first_of('abcde', count=4, sep='; ')
        'a; b; c; d and 1 more'
    """
    names = [str(name) for name in names]
    more = f'{sep.lstrip(",;")}and {len(names) - count} more'
    return sep.join(names[:count]) + more * (len(names) > count)
