"""Run a function in several gloo processes and collect what it returns."""
import os
import os.path as osp
import pickle
import tempfile
import time
import traceback
from datetime import timedelta

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def process_context():
    """How processes are started: forked from one that has imported what
    takes seconds, and nothing else of this one's state. CUDA, which the hosts
    ask for while they are imported, bears no fork."""
    if torch.cuda.is_available():
        return mp.get_context('spawn')
    context = mp.get_context('forkserver')
    context.set_forkserver_preload([
        'caco_ext', 'mmselfsup.models', 'mmselfsup.datasets',
        'mmselfsup.engine', 'tests.helpers.small_models'
    ])
    return context


def _worker(rank, world_size, folder, timeout, environment, fn, args):
    """Join the process group, call ``fn`` and store its result or error."""
    os.environ.update(
        environment,
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(world_size),
        LOCAL_WORLD_SIZE=str(world_size))
    if osp.exists('/sys/class/net/lo'):
        # gloo looks up the host name otherwise, which containers often lack
        os.environ.setdefault('GLOO_SOCKET_IFNAME', 'lo')
    # the processes share a few cores; more threads only get in their way
    torch.set_num_threads(1)
    try:
        dist.init_process_group(
            'gloo',
            init_method='file://' + osp.join(folder, 'rendezvous'),
            rank=rank,
            world_size=world_size,
            timeout=timedelta(seconds=timeout))
        outcome = ('result', fn(*args))
        if dist.is_initialized():
            # nobody leaves while another one may still want an answer
            dist.barrier()
    except BaseException:
        outcome = ('error', traceback.format_exc())
    path = osp.join(folder, f'rank{rank}.pkl')
    with open(path + '.part', 'wb') as file:
        pickle.dump(outcome, file)
    os.replace(path + '.part', path)
    if outcome[0] == 'error':
        # without waiting for the ones that will never answer
        os._exit(1)
    if dist.is_initialized():
        dist.destroy_process_group()


def _stop(processes):
    for process in processes:
        if process.is_alive():
            process.kill()
    for process in processes:
        process.join()


def run_distributed(fn, world_size, *args, timeout=180):
    """Call ``fn(*args)`` in ``world_size`` processes of one gloo group.

    It is defined at the top level of a module, because it travels by name,
    and finds the variables of a launcher set. What it returns comes in the
    order of the ranks. A rank that raises or dies is a RuntimeError with its
    traceback; ``timeout`` seconds, also of one collective, a TimeoutError.
    """
    context = process_context()
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            context.Process(
                target=_worker,
                args=(rank, world_size, folder, timeout, dict(os.environ), fn,
                      args),
                # not a daemon: data loaders start children of their own
                daemon=False) for rank in range(world_size)
        ]
        try:
            for process in processes:
                process.start()
            deadline = time.monotonic() + timeout
            while any(p.exitcode is None for p in processes):
                if any(p.exitcode for p in processes):
                    # the others wait in a collective that never completes
                    time.sleep(1)
                    break
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f'{getattr(fn, "__name__", fn)} did not end within '
                        f'{timeout} s in {world_size} processes')
                time.sleep(0.02)
        finally:
            _stop(processes)
        results, errors = [], []
        for rank, process in enumerate(processes):
            path = osp.join(folder, f'rank{rank}.pkl')
            if not osp.exists(path):
                errors.append(f'rank {rank} left no result, exit status '
                              f'{process.exitcode}')
                continue
            with open(path, 'rb') as file:
                kind, value = pickle.load(file)
            if kind == 'error':
                # before those that only were stopped in its wake
                errors.insert(0, f'rank {rank} failed:\n{value}')
            results.append(value)
        if errors:
            raise RuntimeError('\n'.join(errors))
    return results
