"""Write pictures of one format in another.

Reads a folder, a list, an LMDB file, tar shards, Parquet or torchvision's data
sets. Writes LMDB, tar shards (WebDataset), Parquet (Hugging Face) or class
folders. Parts (train, val, test) stay parts. Files are copied unchanged, or
shrunk by --short-side. Everything is read back and compared. The same command
resumes an interrupted run.

  python tools/dataset_converters/pack.py photos photos.lmdb
  python tools/dataset_converters/pack.py data/imagenet small --to tar \
      --short-side 320
"""
import os
import os.path as osp
from argparse import ArgumentParser, Namespace

from caco_ext.datasets.formats import EXTENSIONS
from caco_ext.datasets.lmdb_writer import LMDBWriter
from caco_ext.datasets.packing import PackSource, parts_of
from caco_ext.datasets.shard_writer import WRITERS, make_writer
from caco_ext.utils import UsageError, make_parser, run_tool


def get_parser() -> ArgumentParser:
    """Describe the command line.

    Returns:
        ArgumentParser: Source, target and options.
    """
    parser = make_parser(__doc__)
    parser.add_argument('source', help='whatever data_root can be')
    parser.add_argument(
        'target', help='folder to write to, or a file ending in .lmdb')
    parser.add_argument(
        '--to',
        choices=('lmdb', *WRITERS),
        help='format; by default lmdb for a target that ends in .lmdb, '
        'else tar')
    parser.add_argument(
        '--short-side',
        type=int,
        metavar='PIXELS',
        help='shrink pictures whose shorter side is longer')
    parser.add_argument(
        '--quality',
        type=int,
        default=90,
        help='JPEG quality of shrunk pictures, default 90')
    parser.add_argument(
        '--per-shard',
        type=int,
        metavar='PICTURES',
        help='pictures of a shard, default 5000')
    parser.add_argument(
        '--no-labels',
        action='store_true',
        help='take subfolders as mere folders, and no labels')
    parser.add_argument(
        '--classes',
        metavar='FILE',
        help='text file of the classes to take, one a line')
    parser.add_argument(
        '--extensions',
        nargs='+',
        default=EXTENSIONS,
        help='endings of picture files')
    parser.add_argument(
        '--quiet', action='store_true', help='show no progress bars')
    return parser


def main(args: Namespace) -> None:
    """Pack each part of the source.

    Args:
        args (Namespace): See :func:`get_parser`.

    Raises:
        UsageError: The source or an option is faulty, or the target is in
            use.
    """
    try:
        pack(args)
    except ValueError as error:  # explains itself: no stack
        raise UsageError(str(error)) from error


def pack(args: Namespace) -> None:
    """See :func:`main`."""
    source_path, target_path = (
        osp.realpath(osp.expanduser(path))
        for path in (args.source, args.target))
    if (target_path + os.sep).startswith(source_path + os.sep):
        raise UsageError(f'the target {args.target!r} lies in the source '
                         f'{args.source!r}; name another folder')
    single = args.target.endswith('.lmdb')
    kind = args.to or ('lmdb' if single else 'tar')
    if single and kind != 'lmdb':
        raise UsageError(f'--to {kind} with the target {args.target!r}, which '
                         'ends in .lmdb; name a folder')
    parts = parts_of(osp.expanduser(args.source))
    if single and len(parts) > 1:
        raise UsageError(
            f'{args.source!r} has the parts {", ".join(parts)}, and '
            f'{args.target!r} can hold one; name a folder and --to lmdb, or '
            'one part as source')
    for part, root in parts.items():
        source = PackSource(root, False if args.no_labels else None,
                            args.extensions, args.classes, args.short_side,
                            args.quality)
        target = args.target
        if kind == 'lmdb':
            if not single:
                target = osp.join(target, f'{part or "train"}.lmdb')
            count = LMDBWriter(source, target).write(args.quiet)
        else:
            count = make_writer(kind, source, target, part,
                                args.per_shard).write(args.quiet)
        print(f'{part or "all"}: {count} pictures, {len(source.classes)} '
              'classes, read back and compared')
    print(f"use them with data_root='{args.target}'")


if __name__ == '__main__':
    run_tool(get_parser(), main)
