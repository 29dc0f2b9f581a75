"""Check a GPU: are the numbers right, does the CPU wait, how fast is it?

Needs no data and no download. Prints a table, and ends with status 0 only if
all was checked and is right. Sections:

parity    the package's own operations against plain formulas in float64
steps     steps of each method in fp32, bf16 and fp16: finite, and all moves
waits     calls that make the CPU wait for the GPU in a training iteration
parallel  synchronised batch norms and DDP, on all GPUs that there are
bank      time of a bank's step beside the matrix products that it needs
views     random views made on the GPU: equal to the CPU's, and their time
speed     pictures a second and memory of each method, ResNet-50 at 224
compile   the same for CaCo with compiled backbones

A section that takes more than its share of --budget is cut.
"""
import argparse
import json
import time
from typing import Iterator, List, Optional

import torch
from gpu_rows import BAD, Row
from gpu_worker import SECTIONS, Worker

from caco_ext.utils import UsageError, make_parser, run_tool
from caco_ext.utils.environment import commit, hardware, versions
from caco_ext.utils.files import check_output, write_whole


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        '--json', metavar='FILE', help='also write the rows to this file')
    parser.add_argument(
        '--budget',
        type=float,
        default=280,
        metavar='SECONDS',
        help='time of all sections together, default: 280')
    parser.add_argument(
        '--only',
        metavar='NAMES',
        help='some of the sections, with commas between them')
    parser.add_argument(
        '--device',
        choices=['cuda', 'cpu'],
        default='cuda',
        help='cpu, with --tiny, only shows that the checks themselves run')
    parser.add_argument(
        '--tiny',
        action='store_true',
        help='small models and few steps; their times mean nothing')
    return parser


def check_arguments(args: argparse.Namespace) -> List[str]:
    """Refuse what cannot be done; gives the names of the sections."""
    if not args.budget > 0:
        raise UsageError(f'--budget {args.budget:g} must be above 0 seconds')
    names = args.only.split(',') if args.only else list(SECTIONS)
    for name in names:
        if name not in SECTIONS:
            raise UsageError(f'--only {args.only}: there is no section '
                             f'{name!r}; use {", ".join(SECTIONS)}')
    if args.json:
        check_output(args.json)
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise UsageError(
            f'--device cuda: torch {torch.__version__} finds no GPU here; '
            'python -m caco_ext says why. --device cpu --tiny only shows that '
            'the checks run')
    return names


def run_sections(names: List[str], args: argparse.Namespace) -> Iterator[Row]:
    """Run the sections one after another.

    Args:
        names (list[str]): Keys of ``SECTIONS``.
        args (Namespace): The command line.

    Yields:
        Row: As they come.
    """
    end = time.monotonic() + args.budget
    worker: Optional[Worker] = None
    try:
        for i, name in enumerate(names):
            left = end - time.monotonic()
            if left <= 0:
                yield Row(name, 'whole section', 'left out', 'no time left')
                continue
            worker = worker or Worker(args.device, args.tiny)
            # What earlier sections have not used is shared by the later ones.
            shares = [SECTIONS[one][2] for one in names[i:]]
            broken = False
            for row in worker.rows(name, left * shares[0] / sum(shares), left):
                # After some errors nothing works on the GPU any more.
                broken = broken or row.verdict in ('ERROR', 'cut')
                yield row
            if broken:
                worker.stop()
                worker = None
    finally:
        if worker is not None:
            worker.stop()


def summary(rows: List[Row], seconds: float) -> List[str]:
    """The last lines of the table: how many rows, and which are bad."""
    bad = [row for row in rows if row.verdict in BAD]
    lines = [f'{len(rows)} rows, {len(bad)} to look at, {seconds:.0f} s']
    lines += [
        f'  {row.section}: {row.what}: {row.verdict} {row.note}' for row in bad
    ]
    if any(row.verdict in ('cut', 'left out') for row in bad):
        lines.append('not all was checked: more --budget, or --only NAMES')
    return lines


def main(args: argparse.Namespace) -> None:
    """Run, print and write.

    Raises:
        SystemExit: With status 1 if a row is bad.
    """
    names = check_arguments(args)
    print(hardware())
    print(', '.join(f'{k} {v}' for k, v in versions().items()), flush=True)
    start = time.monotonic()
    rows: List[Row] = []
    for row in run_sections(names, args):
        rows.append(row)
        print(
            f'{time.monotonic() - start:6.1f}s {row.section:<8} '
            f'{row.what:<45} {row.verdict:<8} {row.note}',
            flush=True)
    seconds = time.monotonic() - start
    print('\n'.join(summary(rows, seconds)))
    if args.json:
        report = dict(
            device=args.device,
            tiny=args.tiny,
            budget=args.budget,
            seconds=round(seconds, 1),
            hardware=hardware(),
            versions=versions(),
            commit=commit(),
            rows=[row._asdict() for row in rows])
        write_whole(args.json, json.dumps(report, indent=1) + '\n')
    if any(row.verdict in BAD for row in rows):
        raise SystemExit(1)


if __name__ == '__main__':
    run_tool(get_parser(), main)
