"""Make a report of a run, finished or not, or of several to compare.

    python tools/analysis_tools/report.py WORK_DIR [...] -o report.html

One HTML file that opens without a network: curves, neighbours, embedding,
memory, where the network looks, views, results, config and versions.
With --format md the same as Markdown, its pictures in a folder beside it.
"""
import argparse
import os.path as osp

import caco_ext  # noqa: F401  registers the classes that configs name
from caco_ext.utils import UsageError, make_parser, run_tool
from caco_ext.utils.files import check_output
from caco_ext.visualization import open_features, read_run, write_report
from caco_ext.visualization.embedding import METHODS, check_method
from caco_ext.visualization.report import FORMATS


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        'work_dirs', nargs='+', metavar='WORK_DIR', help='work_dir of a run')
    parser.add_argument(
        '-o',
        '--out',
        help='file to write (default: report.html or report.md in the first '
        'WORK_DIR)')
    parser.add_argument(
        '--format',
        choices=FORMATS,
        help='default: what --out ends in, else html')
    parser.add_argument(
        '--checkpoint',
        help='checkpoint to show (default: the last one; with one WORK_DIR)')
    parser.add_argument(
        '--embedding',
        choices=METHODS,
        default='tsne',
        help='how features come to two dimensions (default: tsne; pca takes '
        'no time, umap needs umap-learn)')
    parser.add_argument(
        '--base',
        help='config to compare with (default: the one of this package that '
        'the run was started with, or the nearest)')
    parser.add_argument(
        '--results',
        nargs='+',
        default=[],
        metavar='DIR',
        help='further folders with results.json of benchmarks')
    return parser


def main(args: argparse.Namespace) -> None:
    """Read the runs and write the report."""
    if args.checkpoint and len(args.work_dirs) > 1:
        raise UsageError('--checkpoint goes with one WORK_DIR, got '
                         f'{len(args.work_dirs)}')
    for option in ('checkpoint', 'base'):
        path = getattr(args, option)
        if path and not osp.isfile(path):
            raise UsageError(f'--{option}: no such file: {path}')
    form = args.format
    if form is None:
        form = 'md' if (args.out or '').endswith('.md') else 'html'
    out = args.out or osp.join(args.work_dirs[0], f'report.{form}')
    try:
        check_method(args.embedding)
        logs = [read_run(folder) for folder in args.work_dirs]
        folder = osp.dirname(osp.abspath(out))
        if not osp.isdir(folder):
            raise UsageError(f'-o {out}: there is no folder {folder}')
        read = [args.base, args.checkpoint]
        for log in logs:
            read += [log.checkpoint, log.config, *log.checkpoints().values()]
        check_output(out, *filter(None, read))
        features = [open_features(log, args.checkpoint) for log in logs]
        write_report(
            logs,
            features,
            out,
            form,
            method=args.embedding,
            base=args.base,
            results=args.results)
    except (OSError, ValueError, ImportError) as error:
        raise UsageError(str(error)) from error
    print(f'report: {out}')


if __name__ == '__main__':
    run_tool(get_parser(), main)
