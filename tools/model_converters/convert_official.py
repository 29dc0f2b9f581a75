"""Convert checkpoints of the original AdCo, CaCo, CLSA and CARE programs.

    convert_official.py SRC DST                    to train on, with --resume
    convert_official.py SRC DST --part backbone    for OpenMMLab's projects
    convert_official.py SRC DST --back             to the original's layout
"""
import argparse
import json
import shlex

from caco_ext.converters import (METHODS, PARTS, add_source_arguments, beside,
                                 convert, read_checkpoint, to_official,
                                 write_checkpoint)
from caco_ext.utils import UsageError, make_parser
from caco_ext.utils.files import check_output, write_whole


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        'src', help="an author's checkpoint; with --part, any with a ResNet")
    parser.add_argument(
        'dst', help='file to write; *.safetensors holds the weights alone')
    parser.add_argument(
        '--method',
        choices=['auto', *METHODS],
        default='auto',
        help='refuse files of another method; of a file that may be of '
        'several, which one; default: by its keys')
    parser.add_argument(
        '--part',
        choices=PARTS,
        default='full',
        help="everything, or the query's or the key encoder's backbone, "
        'default: full')
    parser.add_argument(
        '--config',
        help='config to resume with, default: the preset of the method')
    parser.add_argument(
        '--iters-per-epoch',
        type=int,
        help='of the run that resumes, default: of ImageNet with the batch '
        'of the config')
    parser.add_argument(
        '--prefix',
        default='backbone.',
        help="in front of a backbone's keys, default: backbone.")
    parser.add_argument(
        '--back',
        action='store_true',
        help='SRC is of this package, DST is for the original program')
    parser.add_argument(
        '--safetensors',
        action='store_true',
        help='write the weights beside DST as .safetensors too')
    parser.add_argument(
        '--report', metavar='FILE', help='account of every entry, as JSON')
    add_source_arguments(parser)
    return parser


def main() -> None:
    """Convert and print a report."""
    args = get_parser().parse_args()
    try:
        outputs = [args.dst]
        if args.safetensors and beside(args.dst) != args.dst:
            outputs.append(beside(args.dst))
        if args.report:
            outputs.append(args.report)
        for i, output in enumerate(outputs):
            check_output(output, args.src, *outputs[:i])
        if args.back:
            content, left = to_official(
                read_checkpoint(args.src, args.trust), args.src)
            write_checkpoint(content, args.dst)
            print(f'{args.dst}: {", ".join(content)}')
            print(f'without place in the original: {", ".join(left) or "-"}')
            return
        content, report = convert(args.src, args.part, args.method,
                                  args.config, args.iters_per_epoch,
                                  args.prefix, args.trust, args.src_prefix)
        write_checkpoint(content, args.dst)
        if args.safetensors:
            write_checkpoint(content, beside(args.dst))
        if args.report:
            write_whole(args.report, json.dumps(vars(report), indent=1))
    except (UsageError, OSError) as error:
        raise SystemExit(f'error: {error}')
    print(report.text())
    print(f'{len(content["state_dict"])} tensors written to {args.dst}')
    if args.part == 'full' and 'iter' in content['meta']:
        print('go on: python tools/train.py CONFIG --resume '
              f'{shlex.quote(args.dst)}')
    elif args.part != 'full':
        print("use: init_cfg=dict(type='Pretrained', "
              f'checkpoint={args.dst!r}, prefix={args.prefix!r})')


if __name__ == '__main__':
    main()
