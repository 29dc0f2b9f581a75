"""How an error ends a tool: on one line, with the stack in the log file."""
import json
import os
import time
import traceback
from typing import Optional

from mmengine.dist import get_rank, is_distributed
from mmengine.logging import MMLogger

from .extras import MissingExtraError

# A message of torch can list every weight of a network.
_LONGEST = 1000


class UsageError(ValueError):
    """The command line asks for something that cannot be; says what."""


def one_line(error: BaseException) -> str:
    """Say on one line what went wrong.

    Args:
        error (BaseException): The error.

    Returns:
        str: Its message; what kind it is where the message alone would not
        do, as with ``KeyError('lr')``.
    """
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f'{error.filename!r}: {error.strerror}'
    elif isinstance(error, KeyError) and error.args:
        text = str(error.args[0])  # its str() puts quotes around
    else:
        text = str(error)
    text = ' '.join(text.split())
    if len(text) > _LONGEST:
        text = f'{text[:_LONGEST]} ...'
    # A sentence explains itself.
    if isinstance(error, (ValueError, OSError, RuntimeError,
                          MissingExtraError)) and text \
            or isinstance(error, KeyError) and ' ' in text:
        return text
    return f'{type(error).__name__}: {text}'


def keep_stack(error: BaseException) -> Optional[str]:
    """Write the calls that led to an error into the log file of the run.

    Args:
        error (BaseException): The error.

    Returns:
        str | None: The file; None where there is none, or no room in it.
    """
    path = MMLogger.get_current_instance().log_file
    if path is None:
        return None
    stack = ''.join(
        traceback.format_exception(type(error), error, error.__traceback__))
    try:
        # The logger of rank 0 alone has the file open.
        with open(path, 'a', encoding='utf-8', errors='replace') as file:
            file.write(stack)
    except OSError:
        return None
    return path


def tell_torchrun(line: str) -> None:
    """Hand torchrun what it repeats at its end as the cause.

    Args:
        line (str): The message.
    """
    path = os.environ.get('TORCHELASTIC_ERROR_FILE')
    if not path:
        return
    more = dict(py_callstack=line, timestamp=str(int(time.time())))
    try:
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(dict(message=dict(message=line, extraInfo=more)), file)
    except OSError:
        pass  # a courtesy; the message stands on the screen


def last_words(prog: str, error: Exception) -> str:
    """Log an error, tell torchrun of it, and say the tool's last line.

    Args:
        prog (str): Name of the tool.
        error (Exception): The error.

    Returns:
        str: The line to end with. A stack that no file could take stands on
        the screen above it, except for what a person can mend by the line
        alone.
    """
    who = f'rank {get_rank()}: ' if is_distributed() else ''
    line = f'{prog}: error: {who}{one_line(error)}'
    if not isinstance(error, (UsageError, MissingExtraError)):
        path = keep_stack(error)
        if path is not None:
            line = f'{line}; details: {path}'
        elif not isinstance(error, OSError):
            traceback.print_exception(type(error), error, error.__traceback__)
    tell_torchrun(line)
    return line
