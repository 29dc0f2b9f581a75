"""What the sections of gpu_check.py share: rows of its table, and clocks."""
import gc
import math
import statistics
import time
import traceback
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, NamedTuple

import torch
from torch import Tensor

from caco_ext.utils.errors import one_line

# Verdicts that end the tool with exit status 1. What was not finished has not
# been checked.
BAD = ('WRONG', 'WAITS', 'ERROR', 'cut', 'left out')


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        section (str): The section.
        what (str): What was checked or measured.
        verdict (str): 'ok', 'measured', 'ran' (only to see that it runs),
            'skipped', or one of ``BAD``.
        note (str): For a reader.
        values (dict[str, float]): The figures, for a program.
    """
    section: str
    what: str
    verdict: str
    note: str = ''
    values: Dict[str, float] = {}


class Check:
    """What a section gets: its device, and where its rows go.

    Args:
        section (str): Name of the section.
        device (str): 'cuda' or 'cpu'.
        tiny (bool): Small models and few steps, to see that all runs.
        send (callable): Called with each row.
    """

    def __init__(self, section: str, device: str, tiny: bool,
                 send: Callable[[Row], Any]) -> None:
        self.section, self.tiny, self.send = section, tiny, send
        self.device = torch.device(device)
        self.on_gpu = device == 'cuda'

    def say(self,
            what: str,
            verdict: str,
            note: str = '',
            **values: float) -> None:
        """Add a row."""
        self.send(Row(self.section, what, verdict, note, values))

    def close(self, what: str, got: Tensor, wanted: Tensor,
              limit: float) -> None:
        """Add a row with the largest error, relative to the largest value."""
        got, wanted = (x.detach().double().cpu() for x in (got, wanted))
        largest = wanted.abs().max().clamp(min=1e-30)
        error = float((got - wanted).abs().max() / largest)
        right = math.isfinite(error) and error <= limit
        self.say(
            what,
            'ok' if right else 'WRONG',
            f'error {error:.1e}, limit {limit:.0e}',
            error=error,
            limit=limit)

    @contextmanager
    def guard(self, what: str) -> Iterator[None]:
        """Turn an error into a row, so that the next thing is checked."""
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            self.say(what, 'ERROR', one_line(error)[-300:])
        finally:
            self.tidy()

    def wait(self) -> None:
        """Wait until the device has done its work."""
        if self.on_gpu:
            torch.cuda.synchronize()

    def tidy(self) -> None:
        """Free the memory of what is no longer used."""
        gc.collect()  # a timed method refers to its owner
        if self.on_gpu:
            torch.cuda.empty_cache()

    def milliseconds(self,
                     function: Callable[[], Any],
                     repeats: int = 10,
                     warm_up: int = 3) -> float:
        """Median time of a call, with the device's work."""
        if self.tiny:
            repeats, warm_up = 2, 1
        for _ in range(warm_up):
            function()
        times = []
        for _ in range(repeats):
            self.wait()
            start = time.perf_counter()
            function()
            self.wait()
            times.append(1e3 * (time.perf_counter() - start))
        return statistics.median(times)
