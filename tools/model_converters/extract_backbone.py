"""Write the query encoder's backbone of a checkpoint to a file of its own.

The keys keep their prefix, so that every OpenMMLab project loads the file by

    init_cfg=dict(type='Pretrained', checkpoint='DST', prefix='backbone.')

Any backbone serves, a ResNet or another; export_backbone.py writes ResNets
for other libraries too.
"""
import argparse

# Importing the package allows torch to read mmengine's checkpoints.
import caco_ext  # noqa: F401
from caco_ext.converters import add_source_arguments, extract_backbone
from caco_ext.utils import UsageError, make_parser


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        'src',
        help='checkpoint of a pre-training run, or of another '
        'program with a ResNet')
    parser.add_argument('dst', help='file to write, usually *.pth')
    add_source_arguments(parser, trust=False)
    return parser.parse_args()


def main() -> None:
    """Convert and say how to use the result."""
    args = parse_args()
    try:
        count = extract_backbone(args.src, args.dst, args.src_prefix)
    except (UsageError, OSError) as error:
        raise SystemExit(f'error: {error}')
    print(f'{count} tensors of the backbone written to {args.dst}\n'
          "use: init_cfg=dict(type='Pretrained', "
          f"checkpoint={args.dst!r}, prefix='backbone.')")


if __name__ == '__main__':
    main()
