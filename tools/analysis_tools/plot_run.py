"""Draw what a training run left behind.

Writes WORK_DIR/curves.png (loss and kNN accuracy by epoch) and
WORK_DIR/neighbours.png (test pictures with their nearest training pictures);
with --report also WORK_DIR/report.html, see report.py.
"""
import os.path as osp

import caco_ext  # noqa: F401  registers the classes that configs name
from caco_ext.utils import make_parser
from caco_ext.visualization import (RunFeatures, draw_charts, draw_gallery,
                                    find_neighbours, knn_chart, loss_chart,
                                    neighbours_gallery, read_run, write_report)


def parse_args():
    """Read the command line."""
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
    args = parser.parse_args()
    if args.queries < 1:
        parser.error(f'--queries {args.queries} must be at least 1')
    return args


def print_numbers(log):
    """Print loss and accuracy, first and last.

    Args:
        log (RunLog): The run.
    """
    epochs, losses = log.loss_by_epoch()
    print(f'loss: {losses[0]:.3f} in epoch {epochs[0]}, {losses[-1]:.3f} in '
          f'epoch {epochs[-1]}')
    epochs, accuracies = log.knn_by_epoch()
    if log.untrained_knn is not None:
        print(f'kNN top-1 of the untrained network: {log.untrained_knn:.2f} %')
    if epochs:
        best = max(accuracies)
        print(f'kNN top-1 after epoch {epochs[-1]}: {accuracies[-1]:.2f} % '
              f'(best: {best:.2f} % after epoch '
              f'{epochs[accuracies.index(best)]})')


def main():
    """Draw both pictures."""
    args = parse_args()
    try:
        log = read_run(args.work_dir)
        charts = [loss_chart([log])] + ([knn_chart([log])] if log.knn else [])
        curves = draw_charts(charts, osp.join(args.work_dir, 'curves.png'))
        checkpoint = args.checkpoint or log.checkpoint
        if not checkpoint or not osp.isfile(checkpoint):
            raise FileNotFoundError(
                f'no checkpoint {checkpoint or "in " + args.work_dir}; name '
                f'one with --checkpoint ({curves} was drawn)')
        if log.config is None:
            raise FileNotFoundError(f'no config.py beside the scalars of '
                                    f'{args.work_dir} ({curves} was drawn)')
        features = RunFeatures(log.cfg, checkpoint)
        rows = find_neighbours(features, args.queries)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f'error: {error}')
    title = f'Nearest training pictures by {osp.basename(checkpoint)}'
    neighbours = draw_gallery(
        neighbours_gallery(rows, title),
        osp.join(args.work_dir, 'neighbours.png'))
    right = sum(sum(row.right) for row in rows)
    total = sum(len(row.right) for row in rows)
    print_numbers(log)
    print(f'neighbours of the query\'s class: {right} of {total}')
    print(f'curves: {curves}\nneighbours: {neighbours}')
    if args.report:
        report = osp.join(args.work_dir, 'report.html')
        print(f'report: {write_report([log], [features], report)}')


if __name__ == '__main__':
    main()
