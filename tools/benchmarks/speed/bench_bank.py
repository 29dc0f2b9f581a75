"""Time one step of a learnable bank on features.

A step is the head's loss, its gradient with respect to the queries, and the
bank's update, by the classes that training uses. The floor is the time of the
matrix products that every step needs. Each query view has three with the
columns: for the cosines, for the queries' gradient and for the bank's. Each
key view of CaCo has one more, for the positives. They use memory that is
already allocated, and take turns with the steps.

Prints one line of JSON. --ranks starts that many processes of one gloo group
on this machine, --shard shards the bank over them.
"""
import argparse
import json
import os
import statistics
import tempfile
import time
from typing import Callable

import torch
import torch.multiprocessing as mp
from mmengine.registry import MODELS
from torch import distributed
from torch.nn import functional as F

import caco_ext  # noqa: F401
from caco_ext.models import AdCo, CaCo
from caco_ext.utils import run_tool

# Algorithm, query views, key views.
METHODS = dict(
    adco=(AdCo, (0, ), (1, )),
    adco_sym=(AdCo, (0, 1), (0, 1)),
    adco_multicrop=(AdCo, (1, 2, 3, 4, 5), (0, )),
    caco=(CaCo, (0, 1), (0, 1)),
    caco_multicrop=(CaCo, tuple(range(8)), (0, 1)))
# Temperature of the encoder, and options of the bank, as in the presets.
OPTIONS = dict(
    AdCo=(0.12, dict(temperature=0.02, weight_decay=1e-4)),
    CaCo=(0.08, dict(temperature=0.08)))


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--method', choices=METHODS, default='adco')
    parser.add_argument(
        '--batch', type=int, default=128, help='pictures of one rank')
    parser.add_argument('--dim', type=int, default=128)
    parser.add_argument('--columns', type=int, default=65536)
    parser.add_argument('--steps', type=int, default=7, help='measured ones')
    parser.add_argument('--ranks', type=int, help='1, or 2 with --shard')
    parser.add_argument('--shard', action='store_true')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, help="torch's, of each rank")
    return parser


class Bench:
    """One rank's head, bank and features.

    Args:
        args (Namespace): The command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        algorithm, query_views, key_views = METHODS[args.method]
        temperature, options = OPTIONS[algorithm.__name__]
        self.device = torch.device(args.device)
        self.pairs = algorithm.make_pairs(query_views, key_views)
        name = algorithm.__name__
        self.head = MODELS.build(
            dict(type=f'{name}Head', temperature=temperature))
        self.memory = MODELS.build(
            dict(
                type='LearnableBank',
                num_columns=args.columns,
                dim=args.dim,
                shard=args.shard,
                init='random',
                **options)).to(self.device)
        self.memory.velocity.fill_(0)  # allocates its pages
        self.queries, self.keys = ([
            F.normalize(torch.randn(args.batch, args.dim),
                        dim=1).to(self.device) for _ in views
        ] for views in (query_views, key_views))
        for query in self.queries:
            query.requires_grad_()
        # Products of a floor: forward alone, and with both gradients.
        self.products = [len(query_views), 0]
        if name == 'CaCo':
            self.products[1] = len(key_views)

    def step(self) -> None:
        """Loss, gradient of the queries, update of the bank."""
        loss = self.head(self.queries, self.keys, self.pairs, self.memory)
        torch.autograd.grad(loss['loss'], self.queries)
        self.memory.step()

    def make_floor(self) -> Callable[[], None]:
        """A function that runs the products once, in allocated memory."""
        with_gradient, alone = self.products
        columns = self.memory.columns
        rows = self.memory.sharding.num_shards * len(self.keys[0])
        queries = torch.randn(rows, columns.size(0), device=self.device)
        cosines = queries @ columns
        own, bank = torch.empty_like(queries), torch.empty_like(columns)

        def floor():
            for _ in range(with_gradient):
                torch.mm(queries, columns, out=cosines)
                torch.mm(cosines, columns.t(), out=own)
                torch.mm(queries.t(), cosines, out=bank)
            for _ in range(alone):
                torch.mm(queries, columns, out=cosines)

        return floor


def seconds(function: Callable, device: torch.device) -> float:
    """Wall time of one call."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    function()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


class Peak:
    """Growth of the process' memory, or the device's, at its highest."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == 'cuda'
        if self.cuda:
            torch.cuda.reset_peak_memory_stats(device)
            self.start = torch.cuda.memory_allocated(device)
        else:
            with open('/proc/self/clear_refs', 'w') as file:
                file.write('5')  # forget the peak so far
            self.start = self._status('VmRSS')

    @staticmethod
    def _status(key):
        with open('/proc/self/status') as file:
            line = next(line for line in file if line.startswith(key))
        return int(line.split()[1]) * 1024

    def growth(self) -> int:
        """Bytes above the start."""
        now = (
            torch.cuda.max_memory_allocated()
            if self.cuda else self._status('VmHWM'))
        return now - self.start


def measure(args: argparse.Namespace) -> dict:
    """Measure the steps and floors of this rank."""
    torch.manual_seed(0)
    if args.threads:
        torch.set_num_threads(args.threads)
    bench = Bench(args)
    peak = Peak(bench.device)
    bench.step()  # warm-up
    growth = peak.growth()
    bench.memory.reset_metrics()
    floor = bench.make_floor()
    floor()
    steps, floors = [], []
    for _ in range(args.steps):
        steps.append(seconds(bench.step, bench.device))
        floors.append(seconds(floor, bench.device))
    middle, floor = statistics.median(steps), statistics.median(floors)
    sent = bench.memory.sharding.sent / args.steps
    return dict(
        method=args.method,
        batch=args.batch,
        dim=args.dim,
        columns=args.columns,
        ranks=args.ranks,
        shard=args.shard,
        device=str(bench.device),
        threads=torch.get_num_threads(),
        steps=args.steps,
        seconds=round(middle, 5),
        spread=[round(min(steps), 5),
                round(max(steps), 5)],
        floor_products=3 * bench.products[0] + bench.products[1],
        floor_seconds=round(floor, 5),
        floor_spread=[round(min(floors), 5),
                      round(max(floors), 5)],
        ratio=round(middle / floor, 3),
        bank_mib=round(bench.memory.columns.nbytes / 2**20, 1),
        peak_growth_mib=round(growth / 2**20, 1),
        sent_mib_per_step=round(sent / 2**20, 4))


def run_rank(rank: int, args: argparse.Namespace, folder: str) -> None:
    """One process of a group, which meets in a folder."""
    os.environ.setdefault('GLOO_SOCKET_IFNAME', 'lo')
    distributed.init_process_group(
        'gloo', f'file://{folder}/meet', rank=rank, world_size=args.ranks)
    result = measure(args)
    if rank == 0:
        print(json.dumps(result), flush=True)
    distributed.destroy_process_group()


def main(args: argparse.Namespace) -> None:
    """Measure and print."""
    args.ranks = args.ranks or (2 if args.shard else 1)
    if args.ranks == 1:
        print(json.dumps(measure(args)))
        return
    with tempfile.TemporaryDirectory() as folder:
        mp.start_processes(
            run_rank, (args, folder), nprocs=args.ranks, start_method='spawn')


if __name__ == '__main__':
    run_tool(get_parser(), main)
