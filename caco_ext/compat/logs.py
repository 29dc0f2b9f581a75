# Licensed under the Apache License, Version 2.0.
"""Log lines that mmengine cannot write."""
from logging import LogRecord
from typing import Any, Callable

from caco_ext.utils.patching import replaces
from caco_ext.utils.text import printable
from .versions import Outcome


def log_any_file_name() -> Outcome:
    """Let log lines name files whose names are not UTF-8.

    What breaks: mmengine's handlers write strict UTF-8. A line with such a
    name is lost, and a traceback is printed instead.

    Remedy: the formatter writes U+FFFD for each byte that is no character.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.logging.logger import MMFormatter

    @replaces(MMFormatter, 'format')
    def format_printable_line(format_line: Callable, self: Any,
                              record: LogRecord) -> str:
        return printable(format_line(self, record))

    return True, "mmengine's logs take UTF-8 only"
