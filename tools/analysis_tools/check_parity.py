# Copyright (c) caco_ext authors. All rights reserved.
"""Feed the package with the inputs of reference files and compare the results.

A reference file is ``NAME_world<R>_rank<r>.npz``: what one rank of an original
program read and computed. ``NAME`` begins with the kind of the case
(``caco_sym``, ``lars``, ...). Files of R ranks are fed to R processes.

Prints a line a case; exits with 1 if one is above the tolerance, and with
``--strict`` also if one cannot be checked.
"""
import argparse
import re
import sys
import tempfile
from pathlib import Path
from typing import Dict, List

import torch
import torch.multiprocessing as mp
from mmengine.dist import get_world_size
from parity_cases import KINDS, Reference
from torch import distributed

PATTERN = re.compile(r'(?P<name>.+)_world(?P<world>\d+)_rank(?P<rank>\d+)')
# Of values of order one; larger ones are held against their largest entry.
TOLERANCE = 1e-5
# Of a bank after two steps, and of gradients through a stack of batch norms:
# there the originals' float32 numbers themselves are up to 2.6e-5 from those
# that this package gives in float64.
LONG_TOLERANCE = 5e-5


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Compare the package with numbers of the originals')
    parser.add_argument('folder', type=Path, help='holds the reference files')
    parser.add_argument(
        '--strict',
        action='store_true',
        help='fail also on a file that cannot be checked')
    return parser.parse_args()


def find_kind(name: str) -> str:
    """The kind of a case: the longest that its name begins with, or ''."""
    fit = [kind for kind in KINDS if name.startswith(kind)]
    return max(fit, key=len, default='')


def worker(rank: int, world: int, kind: str, paths: List[str],
           store: str) -> None:
    """Check the file of one rank and leave the errors beside ``store``."""
    torch.set_num_threads(1)
    if world > 1:
        distributed.init_process_group(
            'gloo', f'file://{store}', rank=rank, world_size=world)
    assert get_world_size() == world
    reference = Reference(paths[rank])
    KINDS[kind](reference)
    unread = reference.unread()
    torch.save((reference.errors, unread), f'{store}.{rank}')
    if world > 1:
        distributed.destroy_process_group()


def run_case(kind: str, paths: List[str]) -> List[tuple]:
    """Errors of each rank: (by name, arrays that were not compared)."""
    world = len(paths)
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / 'store')
        mp.start_processes(
            worker, (world, kind, paths, store),
            nprocs=world,
            start_method='spawn') if world > 1 else worker(
                0, 1, kind, paths, store)
        return [torch.load(f'{store}.{rank}') for rank in range(world)]


def verdict(errors: Dict[str, tuple]) -> tuple:
    """Worst absolute error, and what is above the tolerance."""
    worst, failed = 0., []
    for name, (error, scale) in errors.items():
        worst = max(worst, error)
        long = name.startswith('grad/') or name.endswith(('_W', '_v'))
        limit = LONG_TOLERANCE if long else TOLERANCE
        # `not <=` also catches NaN.
        if not error <= limit * max(1, scale):
            failed.append(f'{name} ({error:.1e})')
    return worst, failed


def main() -> int:
    args = parse_args()
    if not args.folder.is_dir():
        sys.exit(f'{args.folder} is not a folder with reference files')
    cases: Dict[tuple, Dict[int, str]] = {}
    skipped = []
    for path in sorted(args.folder.glob('*.npz')):
        match = PATTERN.fullmatch(path.stem)
        if match is None or not find_kind(match['name']):
            skipped.append((path.stem, 'unknown kind'))
            continue
        case = cases.setdefault((match['name'], int(match['world'])), {})
        case[int(match['rank'])] = str(path)
    if not cases and not skipped:
        sys.exit(f'{args.folder} holds no file NAME_world<R>_rank<r>.npz')
    failures = 0
    for (name, world), ranks in cases.items():
        title = f'{name} on {world} rank(s)'
        if sorted(ranks) != list(range(world)):
            skipped.append((title, f'only files of rank(s) {sorted(ranks)}'))
            continue
        try:
            results = run_case(
                find_kind(name), [ranks[rank] for rank in range(world)])
        except Exception as error:  # a damaged file must not hide the others
            failures += 1
            print(f'{title:36s} error   {type(error).__name__}: {error}')
            continue
        checked = [verdict(errors) for errors, _ in results]
        failed = sorted({one for _, bad in checked for one in bad})
        unread = sorted({one for _, left in results for one in left})
        worst = max(worst for worst, _ in checked)
        failures += bool(failed)
        word = 'FAILED' if failed else 'ok'
        print(f'{title:36s} {word:7s} worst {worst:.1e}  '
              f'{", ".join(failed[:4])}')
        if unread:
            skipped.append((title, 'not compared: ' + ', '.join(unread[:4])))
    for title, why in skipped:
        print(f'{title:36s} not checked: {why}')
    return int(failures > 0 or (args.strict and bool(skipped)))


if __name__ == '__main__':
    sys.exit(main())
