# Copyright (c) caco_ext authors. All rights reserved.
"""Feed the package with the inputs of reference files and compare the results.

A reference file ``NAME_world<R>_rank<r>.npz`` holds what one rank of an
original program read and computed. ``NAME`` begins with the kind of the case
(``caco_sym``, ``lars``, ...). Files of R ranks are fed to R processes.

Prints one line per case. Exits with 1 if one is above the tolerance; with
``--strict`` also if one cannot be checked.
"""
import argparse
import re
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Dict, List

import torch
import torch.multiprocessing as mp
from parity_cases import KINDS
from parity_reference import Reference
from torch import distributed

from caco_ext.utils.launch import run_tool

PATTERN = re.compile(r'(?P<name>.+)_world(?P<world>\d+)_rank(?P<rank>\d+)')
# For values of order one. Larger ones are compared with their maximum.
TOLERANCE = 1e-5
# For a bank after two steps, and for gradients through a stack of batch norms
# with respect to its weights (grad/) and its input (dx). There the originals'
# own float32 numbers differ from float64 by up to 2.6e-5.
LONG_TOLERANCE = 5e-5


def get_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description='Compare the package with numbers of the originals')
    parser.add_argument('folder', type=Path, help='holds the reference files')
    parser.add_argument(
        '--strict',
        action='store_true',
        help='fail also on a file that cannot be checked')
    return parser


def find_kind(name: str) -> str:
    """Kind of a case: the longest one that its name begins with, or ''."""
    fit = [kind for kind in KINDS if name.startswith(kind)]
    return max(fit, key=len, default='')


def check(kind: str, path: str) -> tuple:
    """Errors of one file by name, arrays left uncompared, failure if any."""
    try:
        reference = Reference(path)
        KINDS[kind](reference)
    except Exception as error:  # a damaged file must not hide the others
        return {}, [], f'{type(error).__name__}: {error}'
    return reference.errors, reference.unread(), ''


def worker(rank: int, cases: List[tuple], folder: str) -> None:
    """Check the files of one rank, each case in a separate process group."""
    torch.set_num_threads(1)
    for number, (kind, paths) in enumerate(cases):
        distributed.init_process_group(
            'gloo',
            f'file://{folder}/{number}',
            rank=rank,
            world_size=len(paths),
            timeout=timedelta(seconds=60))
        # Without this, a rank that needs nothing from the others could close
        # its connections while they still open theirs.
        distributed.barrier()
        result = check(kind, paths[rank])
        distributed.destroy_process_group()
        torch.save(result, f'{folder}/{number}.{rank}')


def run_cases(cases: List[tuple]) -> List[list]:
    """Check cases of the same number of ranks.

    Args:
        cases (list[tuple]): Kind and path of each rank's file.

    Returns:
        list[list]: For each case what :func:`check` gives on each rank.
    """
    world = len(cases[0][1])
    if world == 1:
        return [[check(kind, path)] for kind, (path, ) in cases]
    with tempfile.TemporaryDirectory() as folder:
        # Once for all cases, as starting Python takes longer than they do.
        mp.start_processes(
            worker, (cases, folder), nprocs=world, start_method='spawn')
        return [[
            torch.load(f'{folder}/{number}.{rank}') for rank in range(world)
        ] for number in range(len(cases))]


def verdict(errors: Dict[str, tuple]) -> tuple:
    """Worst absolute error, and the names above the tolerance."""
    worst, failed = 0., []
    for name, (error, scale) in errors.items():
        worst = max(worst, error)
        long = name.startswith('grad/') or name.endswith(('dx', '_W', '_v'))
        limit = LONG_TOLERANCE if long else TOLERANCE
        # `not <=` also catches NaN.
        if not error <= limit * max(1, scale):
            failed.append(f'{name} ({error:.1e})')
    return worst, failed


def report(title: str, ranks: List[tuple], skipped: List[tuple]) -> bool:
    """Print the line of a case; return whether it failed."""
    wrong = [error for *_, error in ranks if error]
    if wrong:
        print(f'{title:36s} error   {wrong[0]}')
        return True
    checked = [verdict(errors) for errors, *_ in ranks]
    failed = sorted({one for _, bad in checked for one in bad})
    worst = max(worst for worst, _ in checked)
    print(f'{title:36s} {"FAILED" if failed else "ok":7s} '
          f'worst {worst:.1e}  {", ".join(failed[:4])}')
    unread = sorted({one for _, left, _ in ranks for one in left})
    if unread:
        skipped.append((title, 'not compared: ' + ', '.join(unread[:4])))
    return bool(failed)


def main(args: argparse.Namespace) -> None:
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
    by_world: Dict[int, list] = {}
    for (name, world), ranks in cases.items():
        title = f'{name} on {world} rank(s)'
        if sorted(ranks) != list(range(world)):
            skipped.append((title, f'only files of rank(s) {sorted(ranks)}'))
            continue
        paths = [ranks[rank] for rank in range(world)]
        by_world.setdefault(world, []).append((title, find_kind(name), paths))
    for group in by_world.values():
        results = run_cases([case[1:] for case in group])
        for (title, *_), ranks in zip(group, results):
            failures += report(title, ranks, skipped)
    for title, why in skipped:
        print(f'{title:36s} not checked: {why}')
    if failures or (args.strict and skipped):
        sys.exit(1)


if __name__ == '__main__':
    run_tool(get_parser(), main)
