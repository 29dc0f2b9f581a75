"""Train for long under a memory limit, and check that memory and open files
of all processes do not grow."""
import argparse
import ctypes
import math
import os
import os.path as osp
import resource
import signal
import statistics
import subprocess
import time
from typing import List, Sequence, Tuple

from caco_ext.utils import UsageError, run_tool

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
# Pictures of PhotoPatches.
PICTURES = 2550
# Of prctl(2): the signal that a process gets when its parent is gone.
PR_SET_PDEATHSIG = 1


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='a config on PhotoPatches')
    parser.add_argument('--out', required=True, help='work folder')
    parser.add_argument('--processes', type=int, default=2)
    parser.add_argument('--iterations', type=int, default=2000)
    parser.add_argument(
        '--share',
        type=float,
        default=0.1,
        help='of the pictures; short epochs show what an epoch leaves behind, '
        'default: 0.1')
    parser.add_argument(
        '--batch-size', type=int, default=8, help='of each process')
    parser.add_argument(
        '--memory-gb',
        type=float,
        default=12.,
        help='address space of each process (ulimit -v), default: 12; torch '
        'takes most of it without using it')
    parser.add_argument(
        '--seconds', type=float, default=2., help='between two readings')
    parser.add_argument(
        '--tolerance',
        type=float,
        default=0.05,
        help='growth from the second to the last quarter that is still flat')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='as of tools/train.py, a smaller network for instance')
    return parser


def descendants(top: int) -> List[int]:
    """Numbers of a process and of its running descendants."""
    children = {}
    for name in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{name}/stat') as file:
                parent = int(file.read().rpartition(')')[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        children.setdefault(parent, []).append(int(name))
    found = [top]
    for one in found:
        found += children.get(one, [])
    return found


def read_processes(top: int) -> Tuple[float, int]:
    """Memory and open files of a job, of all its processes together.

    The memory is proportional, in MB: what processes share counts once.
    """
    memory, files = 0., 0
    for number in descendants(top):
        try:
            with open(f'/proc/{number}/smaps_rollup') as file:
                memory += sum(
                    int(line.split()[1])
                    for line in file if line.startswith('Pss:')) / 1024
            files += len(os.listdir(f'/proc/{number}/fd'))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return memory, files


def summarise(values: Sequence[float]) -> Tuple[float, float, float, float]:
    """Compare the second quarter of a series with the last.

    The first quarter is the start-up. Returns medians of the second, third
    and last quarter, and the relative growth from the second to the last.
    """
    quarter = len(values) // 4
    second, third, last = (
        statistics.median(values[i * quarter:(i + 1) * quarter])
        for i in (1, 2, 3))
    return second, third, last, last / second - 1


def start(command: List[str], memory: int) -> subprocess.Popen:
    """Start a job that ends when this process does, even by SIGKILL.

    Each of its processes gets ``memory`` bytes of address space. Its standard
    output is dropped.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        # torchrun passes the signal on to its processes and waits for them
        if prctl(PR_SET_PDEATHSIG, signal.SIGTERM):
            raise OSError(ctypes.get_errno(), 'prctl')

    return subprocess.Popen(
        command,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        preexec_fn=prepare)


def main(args: argparse.Namespace) -> None:
    """Train, read, judge."""
    length = int(PICTURES * args.share) // (args.batch_size * args.processes)
    epochs = math.ceil(args.iterations / length)
    job = start([
        'bash',
        osp.join(ROOT, 'tools', 'dist_train.sh'), args.config,
        str(args.processes), '--work-dir', args.out, '--cfg-options',
        f'train_cfg.max_epochs={epochs}',
        f'train_dataloader.batch_size={args.batch_size}',
        f'train_dataloader.dataset.fraction={args.share}',
        'default_hooks.knn.interval=1',
        f'default_hooks.knn.train_dataset.fraction={args.share}',
        f'default_hooks.knn.test_dataset.fraction={args.share}',
        'default_hooks.setup_check.allow_cut_schedule=True',
        'default_hooks.checkpoint.interval=1',
        'default_hooks.checkpoint.max_keep_ckpts=2', *args.cfg_options
    ], int(args.memory_gb * 2**30))
    readings = []
    try:
        while job.poll() is None:
            time.sleep(args.seconds)
            readings.append(read_processes(job.pid))
    finally:
        # Does nothing if it has ended.
        job.terminate()
        job.wait()
    if job.returncode:
        raise UsageError(f'the training ended with status {job.returncode}; '
                         f'its log is in {args.out}')
    # Drop the end, where the processes end one after another.
    while readings and readings[-1][1] < max(r[1] for r in readings) / 2:
        readings.pop()
    if len(readings) < 16:
        raise UsageError(f'{len(readings)} readings are too few to judge; '
                         'take more --iterations or fewer --seconds')
    grew = []
    for name, series in zip(('memory in MB', 'open files'), zip(*readings)):
        second, third, last, growth = summarise(series)
        print(f'{name}: {second:.0f} in the second quarter, {third:.0f} in '
              f'the third, {last:.0f} in the last ({growth:+.1%}), at most '
              f'{max(series):.0f}')
        if growth > args.tolerance:
            grew.append(name)
    print(f'{epochs * length} iterations of {args.processes} processes, '
          f'{len(readings)} readings')
    if grew:
        raise UsageError(f'{" and ".join(grew)} grew by more than '
                         f'{args.tolerance:.0%}')


if __name__ == '__main__':
    run_tool(get_parser(), main)
