"""Measure how many pictures per second a folder, list or LMDB file yields.

--cold asks the kernel to forget the files' contents first, as far as it lets
a user do that; a disk's or a host's own cache stays warm.
"""
import argparse
import os
import os.path as osp
import time

from torch.utils.data import DataLoader

import caco_ext  # noqa: F401
from caco_ext.datasets import EpochSeededSampler, ImageFolder


def forget(path):
    """Drop a file from the page cache.

    Args:
        path (str): The file.
    """
    with open(path, 'rb') as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def count(batch):
    """Collate: only the number of pictures leaves the worker.

    Args:
        batch (list[dict]): Items.

    Returns:
        int: How many.
    """
    return len(batch)


def get_parser():
    """Describe the command line.

    Returns:
        ArgumentParser: Sources and settings.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data_root', nargs='+', help='what to read')
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--repeat', type=int, default=3)
    parser.add_argument('--cold', action='store_true')
    parser.add_argument(
        '--raw', action='store_true', help='read the bytes, do not decode')
    return parser


def read_bytes(results):
    """Pipeline of --raw: the content of the file.

    Args:
        results (dict): Holds ``img_path``, perhaps ``img_bytes``.

    Returns:
        dict: Holds ``img_bytes``.
    """
    if 'img_bytes' not in results:
        with open(results['img_path'], 'rb') as file:
            results['img_bytes'] = file.read()
    return results


def main():
    """Measure and print a line per source."""
    args = get_parser().parse_args()
    pipeline = [read_bytes] if args.raw else [dict(type='LoadImage')]
    for root in args.data_root:
        start = time.perf_counter()
        data = ImageFolder(root, pipeline=pipeline)
        opened = time.perf_counter() - start
        sampler = EpochSeededSampler(data, seed=0)
        loader = DataLoader(
            data,
            64,
            sampler=sampler,
            num_workers=args.workers,
            collate_fn=count)
        rates = []
        for epoch in range(args.repeat):
            sampler.set_epoch(epoch)
            if args.cold:
                paths = [root] if osp.isfile(root) and data.lmdb else [
                    data.get_data_info(i)['img_path']
                    for i in range(len(data))
                ]
                os.sync()
                for path in paths:
                    forget(path)
            start = time.perf_counter()
            total = sum(loader)
            rates.append(total / (time.perf_counter() - start))
        print(f'{root}: {len(data)} pictures, opened in {opened:.2f} s, '
              f'{max(rates):.0f} pictures/s (' +
              ', '.join(f'{rate:.0f}' for rate in rates) + ')')


if __name__ == '__main__':
    main()
