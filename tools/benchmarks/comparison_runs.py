"""The processes of a comparison: trainings, and measurements after them."""
import argparse
import multiprocessing
import os
import os.path as osp
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

from comparison_report import read_json, write_json

from caco_ext.utils import UsageError, add_common_arguments, load_config

TRAIN = osp.join(osp.dirname(osp.dirname(osp.abspath(__file__))), 'train.py')


def resolve(config, options):
    """Load a config as ``tools/train.py`` does.

    Args:
        config (str): Its path.
        options (Sequence[str]): KEY=VALUE.

    Returns:
        Config: The config.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    add_common_arguments(parser)
    return load_config(
        parser.parse_args([config, '--work-dir=', '--cfg-options', *options]))


def schedule_options(cfg, epochs, name):
    """Stretch a schedule to another number of epochs; warm-ups stay.

    Args:
        cfg (Config): The config.
        epochs (int): The number wanted.
        name (str): The method, for the message.

    Returns:
        list[str]: KEY=VALUE.

    Raises:
        UsageError: The warm-up takes as long.
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


def begin(folder, digest):
    """Note what a run is about, or compare it with the note.

    Args:
        folder (str): The run's.
        digest (str): Of its config.

    Returns:
        dict: The note: ``digest``, ``trained`` and ``peak_memory_mb``.

    Raises:
        UsageError: It was begun with another config.
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


def train(config, options, seed, amp, folder, state):
    """Train in a process of its own, or go on.

    Args:
        config (str): The config.
        options (Sequence[str]): KEY=VALUE.
        seed (int): The seed.
        amp (bool): Whether in mixed precision.
        folder (str): Where to.
        state (dict): Of :func:`begin`; is told how it ended.

    Returns:
        int: Exit status.
    """
    command = [
        sys.executable, TRAIN, config, '--work-dir', folder, '--resume',
        *(['--amp'] if amp else []), '--cfg-options', *options,
        f'randomness.seed={seed}'
    ]
    with open(osp.join(folder, 'train.log'), 'ab') as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        # Or it would train on beside the next attempt.
        process.terminate()
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    # Linux counts a new process's peak from that of the one that started it,
    # which therefore has to stay small.
    unit = 1 if sys.platform == 'darwin' else 2**10
    state['peak_memory_mb'] = max(state['peak_memory_mb'],
                                  usage.ru_maxrss * unit / 1e6)
    state['trained'] = process.returncode == 0
    write_json(osp.join(folder, 'state.json'), state)
    return process.returncode


def start_measuring():
    """Make the process that measures; it starts with the first measurement.

    Trainings are started by a process that never loads a network: their peak
    memory could not be told otherwise.

    Returns:
        ProcessPoolExecutor: For :func:`measure`; a context manager.
    """
    return ProcessPoolExecutor(1, multiprocessing.get_context('spawn'))


def measure(pool, function, *args):
    """Call a function of ``comparison_measures`` in the other process.

    Args:
        pool (Executor): Of :func:`start_measuring`.
        function (str): Its name.
        args: Its arguments.

    Returns:
        dict: What it returned.
    """
    return pool.submit(_call, function, args).result()


def _call(function, args):
    import comparison_measures
    return getattr(comparison_measures, function)(*args)
