"""Show the validation set in two dimensions, by UMAP, t-SNE or PCA.

    python tools/analysis_tools/embed.py WORK_DIR -o embedding.html

An .html file shows the picture under the pointer and needs no network; a .png
file is for documents. Features are stored in WORK_DIR/features, so another
method need not extract them again.
"""
import argparse
import os.path as osp

import caco_ext  # noqa: F401  registers the classes that configs name
from caco_ext.utils import UsageError, make_parser, run_tool
from caco_ext.utils.files import check_output
from caco_ext.visualization import (RunFeatures, draw_charts, embedding_chart,
                                    read_run)
from caco_ext.visualization.embedding import METHODS, check_method
from caco_ext.visualization.panels import Section


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = make_parser(__doc__)
    parser.add_argument('work_dir', help='work_dir of a run with a KNNHook')
    parser.add_argument(
        '-o',
        '--out',
        default='embedding.html',
        help='.html or .png file to write (default: embedding.html)')
    parser.add_argument(
        '--method',
        choices=METHODS,
        default='tsne',
        help='default: tsne; umap needs umap-learn')
    parser.add_argument(
        '--checkpoint', help='checkpoint to show (default: the last one)')
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='of the random numbers of t-SNE and UMAP (default: 0)')
    return parser


def main(args: argparse.Namespace) -> None:
    """Extract, reduce and draw."""
    if not args.out.endswith(('.html', '.png')):
        raise UsageError(f'-o {args.out}: the file must end in .html or .png')
    try:
        if args.out.endswith('.html'):
            from caco_ext.visualization.page import write_page
        check_method(args.method)
        log = read_run(args.work_dir)
        checkpoint = args.checkpoint or log.checkpoint
        if not checkpoint or not osp.isfile(checkpoint):
            raise UsageError(f'no checkpoint {checkpoint or ""} in '
                             f'{args.work_dir}; name one with --checkpoint')
        if log.config is None:
            raise UsageError(f'no config.py beside the scalars of '
                             f'{args.work_dir}')
        check_output(args.out, checkpoint, log.config)
        features = RunFeatures(
            log.cfg, checkpoint, cache=osp.join(args.work_dir, 'features'))
        chart = embedding_chart(features, args.method, args.seed)
    except (OSError, ValueError, ImportError) as error:
        raise UsageError(str(error)) from error
    if args.out.endswith('.png'):
        draw_charts([chart], args.out)
    else:
        title = f'{log.name}, {osp.basename(checkpoint)}'
        write_page(title, [Section('Embedding', [chart])], args.out)
    print(f'embedding: {args.out}')


if __name__ == '__main__':
    run_tool(get_parser(), main)
