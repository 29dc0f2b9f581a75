"""Write the query encoder's backbone of a checkpoint to a file of its own.

The keys keep their prefix, so that every OpenMMLab project loads the file by

    init_cfg=dict(type='Pretrained', checkpoint='DST', prefix='backbone.')
"""
import argparse
import os
import os.path as osp
import pickle
import tempfile

import torch

# importing the package allows torch to read mmengine's checkpoints
import caco_ext

PREFIX = 'backbone.'


def parse_args():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
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
        ValueError: It is no checkpoint or has no backbone.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'no checkpoint {path!r}')
    try:
        checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f'{path!r} is not a readable checkpoint: '
                         f'{str(error).splitlines()[0]}') from error
    if not isinstance(checkpoint, dict):
        raise ValueError(f'{path!r} holds a {type(checkpoint).__name__}, not '
                         'a checkpoint')
    state = checkpoint.get('state_dict', checkpoint)
    weights = {n: v for n, v in state.items() if n.startswith(PREFIX)}
    for name, value in weights.items():
        if not isinstance(value, torch.Tensor):
            raise ValueError(f'{name!r} is a {type(value).__name__}, not a '
                             f'tensor, in {path!r}')
        # of its own, without what it may have been a part of
        weights[name] = value.clone()
    if not weights:
        found = sorted({str(name).split('.')[0] for name in state})
        raise ValueError(f'{path!r} has no key that begins with {PREFIX!r}, '
                         f'only {", ".join(found[:8])}; give a checkpoint '
                         'that this package or MMSelfSup has trained')
    return weights, checkpoint.get('meta') or {}


def save_atomically(content: dict, path: str) -> None:
    """Save under a temporary name and rename, so that no half file stays.

    Args:
        content (dict): What ``torch.save`` shall write.
        path (str): Where; its folder is made when missing.
    """
    folder = osp.dirname(osp.abspath(path))
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(
        dir=folder, prefix=osp.basename(path) + '.')
    try:
        with os.fdopen(handle, 'wb') as file:
            torch.save(content, file)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # mkstemp makes it private
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def main():
    """Convert and say how to use the result."""
    args = parse_args()
    if osp.isdir(args.dst):
        raise SystemExit(f'error: {args.dst!r} is a folder; name a file')
    try:
        weights, meta = read_backbone(args.src)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f'error: {error}')
    keep = {name: meta[name] for name in ('epoch', 'iter') if name in meta}
    keep.update(
        source=osp.basename(args.src), caco_ext_version=caco_ext.__version__)
    save_atomically(dict(state_dict=weights, meta=keep), args.dst)
    print(f'{len(weights)} tensors of the backbone written to {args.dst}\n'
          "use: init_cfg=dict(type='Pretrained', "
          f"checkpoint={args.dst!r}, prefix='backbone.')")


if __name__ == '__main__':
    main()
