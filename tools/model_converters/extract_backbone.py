"""Write the query encoder's backbone of a checkpoint to a file of its own.

The keys keep their prefix, so that every OpenMMLab project loads the file by

    init_cfg=dict(type='Pretrained', checkpoint='DST', prefix='backbone.')

Any backbone serves, a ResNet or another; export_backbone.py writes ResNets
for other libraries too.
"""

# importing the package allows torch to read mmengine's checkpoints
import caco_ext  # noqa: F401
from caco_ext.converters import (CheckpointError, read_checkpoint,
                                 write_checkpoint)
from caco_ext.converters.files import weights_of
from caco_ext.converters.writing import check_destination, provenance
from caco_ext.utils import make_parser

PREFIX = 'backbone.'


def parse_args():
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument('src', help='checkpoint of a pre-training run')
    parser.add_argument('dst', help='file to write, usually *.pth')
    return parser.parse_args()


def read_backbone(path: str) -> tuple:
    """Read the backbone's weights of a checkpoint.

    Args:
        path (str): The checkpoint; nothing but tensors and plain data is
            unpickled from it.

    Returns:
        tuple[dict, dict]: Weights named ``backbone.*``, and the meta data of
        the checkpoint.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It is no checkpoint or has no backbone.
    """
    state, meta = weights_of(read_checkpoint(path), path)
    weights = {n: v for n, v in state.items() if n.startswith(PREFIX)}
    if not weights:
        found = sorted({str(name).split('.')[0] for name in state})
        raise CheckpointError(
            f'{path!r} has no key that begins with {PREFIX!r}, only '
            f'{", ".join(found[:8])}; give a checkpoint that this package or '
            "MMSelfSup has trained; convert_official.py reads the authors'")
    return weights, meta


def main():
    """Convert and say how to use the result."""
    args = parse_args()
    try:
        check_destination(args.dst)
        weights, meta = read_backbone(args.src)
        keep = {name: meta.get(name) for name in ('method', 'epoch', 'iter')}
        write_checkpoint(
            dict(state_dict=weights, meta=provenance(args.src, **keep)),
            args.dst)
    except (CheckpointError, OSError) as error:
        raise SystemExit(f'error: {error}')
    print(f'{len(weights)} tensors of the backbone written to {args.dst}\n'
          "use: init_cfg=dict(type='Pretrained', "
          f"checkpoint={args.dst!r}, prefix='backbone.')")


if __name__ == '__main__':
    main()
