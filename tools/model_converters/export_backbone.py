"""Write the backbone of any checkpoint for another library.

    export_backbone.py SRC DST --to torchvision

SRC is of this package, of MMSelfSup, of an author's program, or of another
one; docs/checkpoints.md lists them.
"""
import argparse
import pickle

# Importing the package allows torch to read mmengine's checkpoints.
import caco_ext  # noqa: F401
from caco_ext.converters import (CheckpointError, add_source_arguments, beside,
                                 write_checkpoint)
from caco_ext.converters.backbones import read_backbone
from caco_ext.converters.exports import TARGETS, export, export_onnx
from caco_ext.converters.files import plain, provenance
from caco_ext.utils import UsageError, make_parser
from caco_ext.utils.files import check_output, write_whole

USE = dict(
    openmmlab="init_cfg=dict(type='Pretrained', checkpoint={dst!r}, "
    'prefix={prefix!r})',
    torchvision='net = torchvision.models.{model}(); net.load_state_dict('
    "torch.load({dst!r})['state_dict'], strict=False)  # all but fc",
    timm="timm.create_model('{model}', num_classes=0, "
    'checkpoint_path={dst!r})',
    detectron2='MODEL.WEIGHTS {dst}, INPUT.FORMAT RGB, '
    'MODEL.PIXEL_MEAN [123.675,116.28,103.53], '
    'MODEL.PIXEL_STD [58.395,57.12,57.375], '
    'MODEL.RESNETS.STRIDE_IN_1X1 False, MODEL.RESNETS.DEPTH {depth}, '
    'MODEL.RESNETS.WIDTH_PER_GROUP {width}',
    onnx="onnxruntime.InferenceSession({dst!r}).run(['features'], "
    'dict(images=batch))')


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = make_parser(__doc__)
    parser.add_argument('src', help='any checkpoint with a ResNet')
    parser.add_argument(
        'dst',
        help='file to write; *.safetensors, and for detectron2 *.pkl, choose '
        'the format')
    parser.add_argument(
        '--to', choices=TARGETS, required=True, help='whose names to use')
    parser.add_argument(
        '--part',
        choices=('backbone', 'backbone_k'),
        default='backbone',
        help="the query encoder's, or the key encoder's, default: backbone")
    parser.add_argument(
        '--prefix',
        default='backbone.',
        help='in front of the keys for openmmlab, default: backbone.')
    parser.add_argument(
        '--safetensors',
        action='store_true',
        help='write the weights beside DST as .safetensors too')
    add_source_arguments(parser)
    return parser


def write(content: dict, args: argparse.Namespace) -> None:
    """Write the file in the format that its ending names."""
    if args.to == 'detectron2':
        weights = dict(state_dict=content['model'], meta=content['meta'])
    else:
        weights = content
    if args.dst.endswith('.safetensors'):
        write_checkpoint(weights, args.dst)
    elif args.dst.endswith('.pkl') and args.to == 'detectron2':
        arrays = plain(content)
        arrays['model'] = {
            name: value.numpy()
            for name, value in arrays['model'].items()
        }
        write_whole(args.dst, pickle.dumps(arrays, protocol=2))
    else:
        write_checkpoint(content, args.dst)
    if args.safetensors:
        write_checkpoint(weights, beside(args.dst))


def main() -> None:
    """Export and say how to use the result."""
    args = get_parser().parse_args()
    try:
        check_output(args.dst, args.src)
        if args.safetensors and beside(args.dst) != args.dst:
            check_output(beside(args.dst), args.src, args.dst)
        if args.to == 'onnx' and args.safetensors:
            raise CheckpointError('--safetensors: an ONNX file holds its '
                                  'weights; use another --to for them')
        backbone = read_backbone(args.src, args.part, args.trust,
                                 args.src_prefix)
        meta = provenance(
            args.src, {
                'part': args.part,
                **backbone.meta
            },
            architecture=backbone.architecture.name)
        content = dict(meta=meta)
        if args.to == 'onnx':
            error = export_onnx(backbone, args.dst, meta)
            print(f'onnxruntime and torch agree to {error:.1e}')
        else:
            content = export(backbone, args.to, meta, args.prefix)
            write(content, args)
    except (UsageError, OSError) as error:
        raise SystemExit(f'error: {error}')
    print(f'{backbone.source}, {backbone.architecture.name}: '
          f'{len(backbone.weights)} tensors written to {args.dst}')
    print('use: ' + USE[args.to].format(
        dst=args.dst,
        prefix=args.prefix,
        depth=backbone.architecture.depth,
        width=backbone.architecture.base_channels,
        model=content['meta'].get('model')))


if __name__ == '__main__':
    main()
