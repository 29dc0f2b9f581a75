"""Show where the network of a checkpoint looks.

    python tools/analysis_tools/attention.py CHECKPOINT IMAGES -o attention.png

For every method: how much each place contributes to the averaged feature, and
the activations of all stages in one map. For CARE: where each head of a block
looks from one place, and which places get most attention.
"""
import argparse
import os.path as osp
from typing import List, Optional

import caco_ext  # noqa: F401  registers the classes that configs name
from caco_ext.datasets import read_picture
from caco_ext.datasets.sources import find_pictures
from caco_ext.utils import UsageError, make_parser, run_tool
from caco_ext.utils.files import check_output
from caco_ext.visualization import draw_gallery, load_model, look
from caco_ext.visualization.loading import config_of
from caco_ext.visualization.run_logs import find_last_checkpoint


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = make_parser(__doc__)
    parser.add_argument('checkpoint', help='checkpoint of a run')
    parser.add_argument(
        'images',
        nargs='+',
        help='pictures, or folders, whose first --pictures are taken')
    parser.add_argument(
        '-o',
        '--out',
        default='attention.png',
        help='file to write (default: attention.png)')
    parser.add_argument(
        '--config', help='config of the run (default: in the checkpoint)')
    parser.add_argument(
        '--pictures',
        type=int,
        default=8,
        help='pictures of a folder (default: 8)')
    parser.add_argument(
        '--size',
        type=int,
        help='pixels at which pictures go through the network (default: '
        'their own, 64 to 448; CARE: those it was built for, activations at a '
        'multiple of at least 64)')
    parser.add_argument(
        '--block',
        type=int,
        default=0,
        help="block of CARE's attention stack, from 0; -1 is the last "
        '(default: 0)')
    parser.add_argument(
        '--place',
        type=float,
        nargs=2,
        metavar=('DOWN', 'ACROSS'),
        help='where the heads of CARE attend from, as shares of height and '
        'width (default: the place of strongest activation)')
    return parser


def find_files(paths: List[str], count: int) -> List[str]:
    """Picture files, up to ``count`` from each folder."""
    files = []
    for path in paths:
        if osp.isdir(path):
            found = find_pictures(path)
            if not found:
                raise UsageError(f'{path} has no pictures')
            # Evenly from the whole folder, so from all its subfolders.
            step = max(1, len(found) // count)
            files += found[::step][:count]
        elif osp.isfile(path):
            files.append(path)
        else:
            raise UsageError(f'no such picture: {path}')
    return files


def check_files(checkpoint: str, config: Optional[str]) -> None:
    """Refuse missing files; suggest the checkpoint that may be meant."""
    for path in filter(None, (checkpoint, config)):
        if osp.isfile(path):
            continue
        if not osp.isdir(path):
            raise UsageError(f'no such file: {path}')
        last = find_last_checkpoint(path)
        hint = f', as {last}' if path is checkpoint and last else ''
        raise UsageError(f'{path} is a folder; name a file in it{hint}')


def main(args: argparse.Namespace) -> None:
    """Look at the pictures and draw."""
    if args.place and not all(0 <= share <= 1 for share in args.place):
        raise UsageError(f'--place {args.place[0]} {args.place[1]}: both are '
                         'shares from 0 to 1')
    if args.pictures < 1:
        raise UsageError(f'--pictures {args.pictures} must be at least 1')
    check_files(args.checkpoint, args.config)
    try:
        files = find_files(args.images, args.pictures)
        check_output(args.out, args.checkpoint, *files)
        pictures = [read_picture(file) for file in files]
        cfg = config_of(args.checkpoint, args.config)
        model = load_model(cfg, args.checkpoint)
        gallery = look(model, pictures, args.size, args.block, args.place,
                       osp.basename(args.checkpoint))
        draw_gallery(gallery, args.out)
    except (OSError, ValueError) as error:
        raise UsageError(str(error)) from error
    print(f'attention: {args.out}')


if __name__ == '__main__':
    run_tool(get_parser(), main)
