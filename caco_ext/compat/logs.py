# Licensed under the Apache License, Version 2.0.
"""Log lines that mmengine cannot write, and histories that it copies."""
import inspect
from logging import LogRecord
from typing import Any, Callable, Tuple, Union
from weakref import WeakKeyDictionary

import numpy as np

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


class _Room:
    """Arrays with free places behind the two histories of a buffer.

    It moves the histories into the arrays. They become views of these, so
    pickles and copies hold no free places.

    Args:
        buffer (HistoryBuffer): Values and their counts.
    """

    def __init__(self, buffer: Any) -> None:
        self.end = len(buffer._log_history)
        self.arrays = [
            np.empty(self.end + self.end // 2 + 1024, history.dtype)
            for history in buffer.data
        ]
        for array, history in zip(self.arrays, buffer.data):
            array[:self.end] = history
        self._show(buffer, 0)

    def _show(self, buffer: Any, start: int) -> None:
        self.shown = buffer._log_history, buffer._count_history = [
            array[start:self.end] for array in self.arrays
        ]

    def takes(self, buffer: Any, values: Tuple) -> bool:
        """Whether there is a free place, of a type that fits the values."""
        is_own = all(a is b for a, b in zip(self.shown, buffer.data))
        return is_own and self.end < len(self.arrays[0]) and all(
            isinstance(value, int)
            or isinstance(value, float) and array.dtype.kind == 'f'
            for array, value in zip(self.arrays, values))

    def append(self, buffer: Any, values: Tuple) -> None:
        """Append a value and its count to the histories."""
        for array, value in zip(self.arrays, values):
            array[self.end] = value
        self.end += 1
        start = self.end - len(self.shown[0]) - 1
        self._show(buffer, max(start, self.end - buffer.max_length))


def append_to_histories_in_place() -> Outcome:
    """Log a scalar in a time that does not grow with the run.

    What breaks: mmengine 0.10 copies the history of a scalar whenever a value
    is added. After a million iterations this is 16 MB for each scalar and
    iteration.

    Remedy: keep free places behind the history, and copy it only when they
    are used up. Histories, checkpoints and logs do not change.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.logging import HistoryBuffer
    update = inspect.unwrap(HistoryBuffer.update)
    if 'append' not in update.__code__.co_names:
        return False, 'mmengine does not copy the history of a scalar'
    rooms: 'WeakKeyDictionary[HistoryBuffer, _Room]' = WeakKeyDictionary()

    @replaces(HistoryBuffer, 'update')
    def update_in_place(update: Callable,
                        self: HistoryBuffer,
                        log_val: Union[int, float],
                        count: int = 1) -> None:
        room = rooms.get(self)
        if room is not None and room.takes(self, (log_val, count)):
            room.append(self, (log_val, count))
            return
        update(self, log_val, count)
        rooms[self] = _Room(self)

    return True, 'mmengine copies the history of a scalar at each value'
