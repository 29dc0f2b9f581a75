"""Linear evaluation of a frozen backbone on many small data sets."""
import argparse

# Fixes the hosts and registers the package, before any config is read.
import caco_ext  # noqa: F401
from caco_ext.apis import find_checkpoint
from caco_ext.transfer.manyset import run_manyset
from caco_ext.transfer.manyset_data import SETS
from caco_ext.transfer.runner import add_backbone_arguments
from caco_ext.utils import make_parser, run_tool


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = make_parser(__doc__)
    add_backbone_arguments(
        parser, '; random-resnet18, random-resnet50 and so on for an '
        'untrained network (random: the latter)')
    parser.add_argument(
        '--datasets',
        metavar='NAME,NAME',
        help='which data sets, default: those of --data, else all: ' +
        ','.join(SETS))
    parser.add_argument(
        '--data',
        nargs='+',
        default=[],
        metavar='NAME=ROOT',
        help='take a data set from this data_root: a folder with the folders '
        'train and test, tar or Parquet shards, ...; NAME may be new')
    parser.add_argument(
        '--root',
        default='data',
        help='where torchvision keeps the others, and downloads them to '
        '(default: data)')
    parser.add_argument(
        '--size',
        type=int,
        default=224,
        help='side of the pictures in pixels (default: 224)')
    parser.add_argument(
        '--batch-size',
        type=int,
        default=64,
        help='pictures that the network sees at a time (default: 64)')
    parser.add_argument(
        '--num-workers',
        type=int,
        default=4,
        help='processes that load pictures (default: 4)')
    parser.add_argument(
        '--work-dir',
        help='folder for results and features, default: '
        'work_dirs/benchmarks/manyset/<checkpoint, its hash and the size>')
    return parser


def main(args: argparse.Namespace) -> None:
    """Measure."""
    run_manyset(args, find_checkpoint)


if __name__ == '__main__':
    run_tool(get_parser(), main)
