"""Text that every file and screen takes."""
import re


def printable(text: str) -> str:
    """Replace what is no character.

    Python keeps the bytes of a file name that is not UTF-8 as surrogates,
    which can be written into hardly any file.

    Args:
        text (str): Any text, such as a path.

    Returns:
        str: U+FFFD in place of each such byte.

    Example:
        >>> printable('caf\\udce9') == 'caf\\ufffd'
        True
    """
    return re.sub('[\ud800-\udfff]', '\ufffd', text)
