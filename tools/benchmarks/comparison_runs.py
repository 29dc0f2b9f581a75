"""The processes of a comparison: trainings, and measurements after them."""
import argparse
import multiprocessing
import os
import os.path as osp
import subprocess
import sys
import threading
from concurrent.futures import (CancelledError, ProcessPoolExecutor,
                                ThreadPoolExecutor, as_completed)
from queue import SimpleQueue
from typing import Any, Callable, Dict, List, Sequence

import torch
from comparison_report import read_json, write_json
from mmengine.config import Config

from caco_ext.utils import UsageError, add_common_arguments, load_config

# Those that a batch system leaves us.
CORES = len(os.sched_getaffinity(0)) if hasattr(
    os, 'sched_getaffinity') else os.cpu_count()
TRAIN = osp.join(osp.dirname(osp.dirname(osp.abspath(__file__))), 'train.py')


def resolve(config: str, options: Sequence[str]) -> Config:
    """Load a config and KEY=VALUE options as ``tools/train.py`` does."""
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    add_common_arguments(parser)
    given = ['--cfg-options', *options] if options else []
    return load_config(parser.parse_args([config, '--work-dir=', *given]))


def schedule_options(cfg: Config, epochs: int, name: str) -> List[str]:
    """Options that stretch a schedule to another number of epochs.

    Warm-ups stay; a UsageError says where one of them takes as long.
    """
    whole = cfg.train_cfg.max_epochs
    options = [f'train_cfg.max_epochs={epochs}']
    for i, scheduler in enumerate(cfg.param_scheduler):
        if scheduler.get('end') != whole:
            continue
        begin = scheduler.get('begin', 0)
        if begin >= epochs:
            raise UsageError(f'--epochs {epochs}: {name} warms up for {begin};'
                             f' take at least {begin + 1}')
        options.append(f'param_scheduler.{i}.end={epochs}')
        if 'T_max' in scheduler:
            options.append(f'param_scheduler.{i}.T_max={epochs - begin}')
    return options


def begin(folder: str, digest: str) -> Dict[str, Any]:
    """Note the digest of a run's config, or compare it with the note.

    The note has ``digest``, ``trained`` and ``peak_memory_mb``. A UsageError
    says that the run was begun with another config.
    """
    os.makedirs(folder, exist_ok=True)
    path = osp.join(folder, 'state.json')
    fresh = dict(digest=digest, trained=False, peak_memory_mb=0)
    state = read_json(path) or fresh
    if state['digest'] != digest:
        raise UsageError(f'{folder} holds a run of another config or with '
                         'other --cfg-options; remove it or name another '
                         '--out')
    write_json(path, state)
    return state


class Trainings:
    """Trains, each run in a process of its own, several at a time.

    A context manager: an exception stops the processes. Otherwise they would
    still train during the next attempt.

    Args:
        jobs (int): How many at a time. Each has a GPU of its own, or an equal
            part of the CPU cores unless ``OMP_NUM_THREADS`` says how many.
    """

    def __init__(self, jobs: int) -> None:
        self.lock = threading.RLock()
        self._pool = ThreadPoolExecutor(jobs)
        self._running = set()
        self._ended = False
        self._environments = SimpleQueue()
        for job in range(jobs):
            env = dict(os.environ)
            if jobs > 1 and torch.cuda.is_available():
                given = env.get('CUDA_VISIBLE_DEVICES')
                devices = given.split(',') if given else range(jobs)
                env['CUDA_VISIBLE_DEVICES'] = str(devices[job])
            elif jobs > 1:
                cores = CORES // jobs
                env.setdefault('OMP_NUM_THREADS', str(cores))
            self._environments.put(env)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            with self.lock:
                self._ended = True
                self._pool.shutdown(wait=False, cancel_futures=True)
                for process in self._running:
                    process.terminate()
        self._pool.shutdown()

    def map(self, function: Callable, jobs: Sequence) -> list:
        """Call a function with each job, as many at a time as may train."""
        futures = [self._pool.submit(function, job) for job in jobs]
        # The first failure of any job ends all.
        for future in as_completed(futures):
            future.result()
        return [future.result() for future in futures]

    def run(self, config: str, options: Sequence[str], seed: int, amp: bool,
            folder: str, state: Dict[str, Any]) -> int:
        """Train, or go on; the state of :func:`begin` is told how it ended.

        Returns the exit status.
        """
        command = [
            sys.executable, TRAIN, config, '--work-dir', folder, '--resume',
            *(['--amp'] if amp else []), '--cfg-options', *options,
            f'randomness.seed={seed}'
        ]
        env = self._environments.get()
        with open(osp.join(folder, 'train.log'), 'ab') as log, self.lock:
            if self._ended:
                raise CancelledError
            process = subprocess.Popen(
                command, stdout=log, stderr=log, env=env)
            self._running.add(process)
        _, status, usage = os.wait4(process.pid, 0)
        with self.lock:
            self._running.remove(process)
            process.returncode = os.waitstatus_to_exitcode(status)
        self._environments.put(env)
        # On Linux a new process inherits the peak of the one that started it,
        # which must therefore stay small.
        unit = 1 if sys.platform == 'darwin' else 2**10
        state['peak_memory_mb'] = max(state['peak_memory_mb'],
                                      usage.ru_maxrss * unit / 1e6)
        state['trained'] = process.returncode == 0
        write_json(osp.join(folder, 'state.json'), state)
        return process.returncode


def start_measuring() -> ProcessPoolExecutor:
    """Make the process that measures; it starts with the first measurement.

    The process that starts trainings must never load a network. Otherwise
    their peak memory could not be measured.
    """
    return ProcessPoolExecutor(1, multiprocessing.get_context('spawn'))
