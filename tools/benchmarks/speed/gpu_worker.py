"""The process in which the sections of gpu_check.py run.

A section may hang or break the GPU's context. Then its process is ended, and
the next section gets a new one.
"""
import multiprocessing as mp
import os
import signal
import time
import warnings
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Iterator

from gpu_rows import Check, Row

# Module, function, and the section's share of the time.
SECTIONS = dict(
    parity=('gpu_numbers', 'parity', 1),
    steps=('gpu_numbers', 'steps', 3),
    waits=('gpu_waits', 'waits', 3),
    parallel=('gpu_parallel', 'parallel', 4),
    bank=('gpu_speed', 'bank', 1),
    views=('gpu_views', 'views', 1),
    speed=('gpu_speed', 'speed', 4),
    compile=('gpu_speed', 'compiled', 4))
# CUDA bears no fork.
CONTEXT = mp.get_context('spawn')
STARTED = 'started'


def work(pipe: Connection, device: str, tiny: bool) -> None:
    """Run the sections whose names come, and send their rows.

    Args:
        pipe (Connection): The other process sends names. It gets ``STARTED``
            when all is imported, then rows, and a None after each section.
        device (str): 'cuda' or 'cpu'.
        tiny (bool): See :class:`Check`.
    """
    os.setsid()  # so that it can be ended with its own processes
    from mmengine.logging import MMLogger

    import caco_ext  # noqa: F401
    warnings.filterwarnings('ignore')
    MMLogger.get_instance('gpu_check', log_level='ERROR')
    pipe.send(STARTED)
    while True:
        try:
            section = pipe.recv()
        except EOFError:  # the other process has ended
            return
        module, function, _ = SECTIONS[section]
        check = Check(section, device, tiny, pipe.send)
        with check.guard('whole section'):
            getattr(import_module(module), function)(check)
        pipe.send(None)


class Worker:
    """A process for sections, which can be ended at any time.

    Args:
        device (str): 'cuda' or 'cpu'.
        tiny (bool): See :class:`Check`.
    """

    def __init__(self, device: str, tiny: bool) -> None:
        self.pipe, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(
            target=work, args=(theirs, device, tiny))
        self.process.start()
        theirs.close()
        self.started = False

    def rows(self, section: str, share: float, left: float) -> Iterator[Row]:
        """Run a section.

        Args:
            section (str): Its name.
            share (float): Seconds that it may take, without the imports of a
                new process.
            left (float): Seconds for those.

        Yields:
            Row: As the section makes them. The last is 'cut' if the time was
            too short, and 'ERROR' if the process died.
        """
        self.pipe.send(section)
        deadline = time.monotonic() + (share if self.started else left)
        while True:
            if not self.pipe.poll(max(deadline - time.monotonic(), 0)):
                yield Row(section, 'the rest', 'cut',
                          'its share of --budget is used up')
                return
            try:
                row = self.pipe.recv()
            except EOFError:
                self.process.join()
                yield Row(
                    section, 'the rest', 'ERROR', 'the process ended with '
                    f'status {self.process.exitcode}')
                return
            if row is None:
                return
            if row == STARTED:
                self.started = True
                deadline = time.monotonic() + min(share, left)
            else:
                yield row

    def stop(self) -> None:
        """End the process and those that it has started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            # It has ended, or has not yet a group of its own.
            self.process.kill()
        self.process.join()
