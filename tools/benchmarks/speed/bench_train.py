"""Time the parts of training steps of a config.

Runs the config's data, model and optimizer for some steps and prints one line
of JSON: pictures a second, the median seconds that each part of a step takes,
and the peak of memory. The bank starts with random columns, as filling it is
no step. --cfg-options changes the config as in tools/train.py.

Parts: waiting for data; moving views to the device and normalising them;
encoding queries; updating the momentum encoder; encoding keys; losses with
bank or queue; backward; optimizer; update of the bank; the rest.
"""
import argparse
import functools
import json
import resource
import statistics
import sys
import tempfile
import time
from itertools import chain, repeat
from typing import Any, Callable, Dict, List, Tuple

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch.utils.data import DataLoader

import caco_ext  # noqa: F401
from caco_ext.utils import (UsageError, add_common_arguments, load_config,
                            make_parser, run_tool)
from caco_ext.utils.environment import hardware, versions
from caco_ext.utils.models import unwrap_model

# Part of a step: the object of the run and its method.
PARTS = dict(
    normalise=('model.data_preprocessor', 'forward'),
    queries=('model', 'encode_queries'),
    ema=('model.key_encoder', 'update'),
    keys=('model', 'encode_keys'),
    losses=('model', 'compute_losses'),
    backward=('wrapper', 'backward'),
    optimizer=('wrapper', 'step'),
    bank=('model.memory', 'step'))


class Clock:
    """Times parts that may be nested; inner time is not counted twice.

    Args:
        device (torch.device): If it is a GPU, each part starts and ends with
            a wait for it.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: Dict[str, float] = {}
        self._open: List[float] = []

    def now(self) -> float:
        """Time in seconds, after the device has finished its work."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def part(self, name: str, function: Callable) -> Callable:
        """The same function, timed under a name."""

        @functools.wraps(function)
        def timed(*args, **kwargs):
            start = self.now()
            self._open.append(0.)
            try:
                return function(*args, **kwargs)
            finally:
                whole = self.now() - start
                inside = self._open.pop()
                self.seconds[name] = self.seconds.get(name,
                                                      0.) + whole - inside
                if self._open:
                    self._open[-1] += whole

        return timed


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = make_parser(__doc__)
    parser.add_argument('config')
    parser.add_argument('--steps', type=int, default=20, help='measured ones')
    parser.add_argument('--warm-up', type=int, default=3, help='steps before')
    add_common_arguments(parser)
    return parser


def find(roots: Dict[str, Any], path: str) -> Any:
    """Follow a dotted name that begins with one of the roots; else None."""
    first, *rest = path.split('.')
    return functools.reduce(lambda node, name: getattr(node, name, None), rest,
                            roots[first])


def prepare(args: argparse.Namespace,
            folder: str) -> Tuple[Runner, DataLoader, OptimWrapper]:
    """Build what a step needs; the runner may write to the folder."""
    if args.steps < 1:
        raise UsageError(f'--steps {args.steps} must be at least 1')
    args.work_dir = folder
    cfg = load_config(args)
    cfg.log_level = 'WARNING'
    cfg.visualizer.vis_backends = []
    if cfg.model.get('memory', {}).get('type', '') == 'LearnableBank':
        cfg.model.memory.init = 'random'
    runner = Runner.from_cfg(cfg)
    loader = runner.build_dataloader(cfg.train_dataloader)
    wrapper = runner.build_optim_wrapper(cfg.optim_wrapper)
    wrapper.initialize_count_status(runner.model, 0, args.steps)
    runner._init_model_weights()
    # The model's schedules read these during a run.
    epochs = cfg.train_cfg.max_epochs
    for name, value in (('epoch', 0), ('iter', 0), ('max_epochs', epochs),
                        ('max_iters', epochs * len(loader))):
        runner.message_hub.update_info(name, value)
    runner.model.train()
    return runner, loader, wrapper


def main(args: argparse.Namespace) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        runner, loader, wrapper = prepare(args, folder)
        model = runner.model
        inner = unwrap_model(model)
        device = next(model.parameters()).device
        clock = Clock(device)
        for name, (path, method) in PARTS.items():
            owner = find(dict(model=inner, wrapper=wrapper), path)
            function = getattr(owner, method, None)
            if function is not None:
                setattr(owner, method, clock.part(name, function))
        # One epoch after another, each in its own order.
        data = chain.from_iterable(repeat(loader))
        fetch = clock.part('data', lambda: next(data))
        step = clock.part('rest', model.train_step)
        table, sizes = [], []
        for i in range(args.warm_up + args.steps):
            if i == args.warm_up and device.type == 'cuda':
                torch.cuda.reset_peak_memory_stats(device)
            clock.seconds = {}
            batch = fetch()
            step(batch, optim_wrapper=wrapper)
            table.append(dict(clock.seconds))
            sizes.append(len(batch['data_samples']))
    table = table[args.warm_up:]
    whole = [sum(row.values()) for row in table]
    speeds = [size / total for size, total in zip(sizes[args.warm_up:], whole)]
    if device.type == 'cuda':
        peak = torch.cuda.max_memory_allocated(device)
    else:
        unit = 1 if sys.platform == 'darwin' else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(
        json.dumps(
            dict(
                config=args.config,
                steps=args.steps,
                batch=sizes[-1],
                device=str(device),
                threads=torch.get_num_threads(),
                hardware=hardware(),
                versions=versions(),
                images_per_second=round(statistics.median(speeds), 2),
                spread=[round(min(speeds), 2),
                        round(max(speeds), 2)],
                seconds={
                    name:
                    round(
                        statistics.median(row.get(name, 0.)
                                          for row in table), 5)
                    for name in ('data', *PARTS, 'rest') if name in table[-1]
                },
                peak_memory_mib=round(peak / 2**20, 1))))


if __name__ == '__main__':
    run_tool(get_parser(), main)
