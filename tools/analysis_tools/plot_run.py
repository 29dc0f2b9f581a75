"""Draw the curves and neighbours of a training run.

Writes WORK_DIR/curves.png (loss and kNN accuracy by epoch) and
WORK_DIR/neighbours.png (test pictures with their nearest training pictures);
with --report also WORK_DIR/report.html, see report.py.
"""
import argparse

import caco_ext  # noqa: F401  registers the classes that configs name
from caco_ext.utils import UsageError, make_parser, run_tool
from caco_ext.visualization import draw_run


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = make_parser(__doc__)
    parser.add_argument('work_dir', help='work_dir of the run')
    parser.add_argument(
        '--checkpoint', help='checkpoint to use (default: the last one)')
    parser.add_argument(
        '--queries',
        type=int,
        default=8,
        help='number of test pictures to show (default: 8)')
    parser.add_argument(
        '--report',
        action='store_true',
        help='write the report too, its maps by PCA, from the same features')
    return parser


def main(args: argparse.Namespace) -> None:
    """Draw, and say what was found."""
    if args.queries < 1:
        get_parser().error(f'--queries {args.queries} must be at least 1')
    try:
        lines = draw_run(args.work_dir, args.checkpoint, args.queries,
                         args.report)
    except (OSError, ValueError, ImportError) as error:
        raise UsageError(str(error)) from error
    print('\n'.join(lines))


if __name__ == '__main__':
    run_tool(get_parser(), main)
