"""Measure how many pictures per second a folder, list or LMDB file yields.

Sources take turns. Pictures are in random order and were read once before.
Before each round, --cold drops the files' contents from the kernel's cache.
--drop-caches drops the whole cache, with folders and inodes, for all programs
(needs root). A disk's or a host's own cache stays warm.
"""
import argparse
import os
import statistics
import time
from typing import List

from torch.utils.data import DataLoader

import caco_ext  # noqa: F401
from caco_ext.datasets import EpochSeededSampler, ImageFolder
from caco_ext.datasets.containers.lmdb_source import close_all
from caco_ext.utils import UsageError, run_tool


def files_of(root: str, data: ImageFolder) -> List[str]:
    """Paths of the files behind a data set."""
    if data.container is not None:
        return [root]
    return [data.get_data_info(i)['img_path'] for i in range(len(data))]


def remember(paths: List[str]) -> None:
    """Bring files into the page cache."""
    for path in paths:
        with open(path, 'rb') as file:
            while file.read(1 << 20):
                pass


def forget(paths: List[str], everything: bool = False) -> None:
    """Drop files from the page cache, or the whole cache (for root only)."""
    close_all()  # mapped pages would stay
    os.sync()  # unwritten pages would stay
    if everything:
        with open('/proc/sys/vm/drop_caches', 'w') as file:
            file.write('3')
        return
    for path in paths:
        with open(path, 'rb') as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def count(batch: list) -> int:
    """Collate: only the number of pictures leaves the worker."""
    return len(batch)


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data_root', nargs='+', help='what to read')
    parser.add_argument(
        '--workers', type=int, default=2, help='0: read in this process')
    parser.add_argument('--repeat', type=int, default=3, help='rounds')
    parser.add_argument('--cold', action='store_true')
    parser.add_argument('--drop-caches', action='store_true')
    parser.add_argument(
        '--raw', action='store_true', help='read the bytes, do not decode')
    return parser


def read_bytes(results: dict) -> dict:
    """Pipeline of --raw: the content of the file."""
    if 'img_bytes' not in results:
        with open(results['img_path'], 'rb') as file:
            results['img_bytes'] = file.read()
    return results


def measure(loader: DataLoader) -> float:
    """Pictures per second of one pass; workers start in that time."""
    start = time.perf_counter()
    total = sum(loader)
    return total / (time.perf_counter() - start)


def main(args: argparse.Namespace) -> None:
    """Measure and print a line per source."""
    pipeline = [read_bytes] if args.raw else [dict(type='LoadImage')]
    sources = []
    for root in args.data_root:
        start = time.perf_counter()
        try:
            data = ImageFolder(root, pipeline=pipeline)
        except (OSError, ValueError, ImportError) as error:
            raise UsageError(error) from error
        opened = time.perf_counter() - start
        loader = DataLoader(
            data,
            64,
            sampler=EpochSeededSampler(data, seed=0),
            num_workers=args.workers,
            collate_fn=count)
        paths = files_of(root, data)
        remember(paths)
        sources.append((root, opened, loader, paths, []))
    for epoch in range(args.repeat):
        # In reverse order every second time, against drifts.
        for _, _, loader, paths, rates in sources[::(-1)**epoch]:
            loader.sampler.set_epoch(epoch)
            if args.cold or args.drop_caches:
                forget(paths, args.drop_caches)
            rates.append(measure(loader))
    for root, opened, loader, _, rates in sources:
        print(f'{root}: {len(loader.dataset)} pictures, opened in '
              f'{opened:.2f} s, {statistics.median(rates):.0f} pictures/s '
              f'({min(rates):.0f} to {max(rates):.0f})')


if __name__ == '__main__':
    run_tool(get_parser(), main)
