"""End a tool with one line of error; its stack goes to the log file."""
import json
import os
import time
import traceback
from typing import Optional

import torch
from mmengine.dist import get_rank, is_distributed
from mmengine.logging import MMLogger

from .extras import MissingExtraError

# A message of torch can list every weight of a network.
_LONGEST = 1000


class UsageError(ValueError):
    """The command line asks for something impossible; says what."""


def one_line(error: BaseException) -> str:
    """Describe an error in one line.

    Args:
        error (BaseException): The error.

    Returns:
        str: Its message, with its type if the message alone would be unclear,
        as for ``KeyError('lr')``.
    """
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f'{error.filename!r}: {error.strerror}'
    elif isinstance(error, KeyError) and error.args:
        text = str(error.args[0])  # str() would add quotes
    else:
        text = str(error)
    text = ' '.join(text.split())
    if isinstance(error, torch.cuda.OutOfMemoryError):
        # After three sentences torch turns to its allocator.
        text = '. '.join(text.split('. ')[:3]) + (
            '; lower train_dataloader.batch_size, or train with --amp')
    if len(text) > _LONGEST:
        text = f'{text[:_LONGEST]} ...'
    # A sentence explains itself.
    if isinstance(error, (ValueError, OSError, RuntimeError,
                          MissingExtraError)) and text \
            or isinstance(error, KeyError) and ' ' in text:
        return text
    return f'{type(error).__name__}: {text}'


def keep_stack(error: BaseException) -> Optional[str]:
    """Write the stack of an error to the log file of the run.

    Args:
        error (BaseException): The error.

    Returns:
        str | None: The file; None if there is none or it cannot be written.
    """
    path = MMLogger.get_current_instance().log_file
    if path is None:
        return None
    stack = ''.join(
        traceback.format_exception(type(error), error, error.__traceback__))
    try:
        # Only the logger of rank 0 has the file open.
        with open(path, 'a', encoding='utf-8', errors='replace') as file:
            file.write(stack)
    except OSError:
        return None
    return path


def tell_torchrun(line: str) -> None:
    """Give torchrun the message that it prints at its end as the cause.

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
        pass  # optional; the message is on the screen anyway


def last_words(prog: str, error: Exception) -> str:
    """Log an error, pass it to torchrun, and make the tool's last line.

    Args:
        prog (str): Name of the tool.
        error (Exception): The error.

    Returns:
        str: The line to end with. If the stack could not be written to a
        file, it is printed, except for errors that the line explains.
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
