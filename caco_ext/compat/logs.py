# Licensed under the Apache License, Version 2.0.
"""Log lines that mmengine cannot write."""
import functools
from typing import Tuple

from caco_ext.utils.text import printable


def log_any_file_name() -> Tuple[bool, str]:
    """Let log lines name files whose names are not UTF-8.

    What breaks: mmengine's handlers write UTF-8 strictly. A line with such a
    name is lost, and a stack of calls comes in its place. Remedy: its
    formatter puts U+FFFD for each byte that is no character.

    Returns:
        tuple[bool, str]: Whether it is in force, and why.
    """
    from mmengine.logging.logger import MMFormatter
    format_line = MMFormatter.format
    if hasattr(format_line, 'caco_ext'):
        return True, 'done before'

    @functools.wraps(format_line)
    def format_printable_line(self, record):
        return printable(format_line(self, record))

    format_printable_line.caco_ext = True
    MMFormatter.format = format_printable_line
    return True, "mmengine's logs take UTF-8 only"
