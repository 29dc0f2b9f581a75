"""Show the views that a config makes of pictures, before any training.

    python tools/analysis_tools/browse_views.py CONFIG -o views.png

A row for each picture: the original with the boxes of its crops, and the
views as the network gets them, with their random choices.
"""
import argparse
import os.path as osp

import caco_ext  # noqa: F401  registers the classes that configs name
from caco_ext.utils import (UsageError, add_common_arguments, load_config,
                            make_parser, run_tool)
from caco_ext.utils.files import check_output
from caco_ext.visualization import draw_gallery, make_views, views_gallery


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = make_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '-o',
        '--out',
        default='views.png',
        help='file to write (default: views.png)')
    parser.add_argument(
        '--pictures',
        type=int,
        default=8,
        help='number of pictures, from the whole data set (default: 8)')
    parser.add_argument(
        '--seed',
        type=int,
        help='seed of the run whose draws are made (default: the config\'s)')
    parser.add_argument(
        '--epoch',
        type=int,
        default=1,
        help='epoch whose draws are made (default: 1)')
    add_common_arguments(parser)
    return parser


def main(args: argparse.Namespace) -> None:
    """Make the views and draw them."""
    for name in ('pictures', 'epoch'):
        if getattr(args, name) < 1:
            raise UsageError(f'--{name} {getattr(args, name)} must be at '
                             'least 1')
    cfg = load_config(args)
    check_output(args.out, args.config)
    seed = args.seed
    if seed is None:
        seed = (cfg.get('randomness') or {}).get('seed') or 0
    try:
        rows = make_views(cfg, args.pictures, seed, args.epoch - 1)
        title = (f'Views of {osp.basename(args.config)}, seed {seed}, epoch '
                 f'{args.epoch}')
        draw_gallery(views_gallery(rows, title), args.out)
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    print(f'views: {args.out}')


if __name__ == '__main__':
    run_tool(get_parser(), main)
