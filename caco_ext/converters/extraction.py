# Copyright (c) caco_ext authors. All rights reserved.
"""The backbone of a run, whatever network it is, with the hosts' names."""
from .files import CheckpointError, read_checkpoint, weights_of
from .writing import check_destination, provenance, write_checkpoint

PREFIX = 'backbone.'


def extract_backbone(source: str, path: str) -> int:
    """Write the weights named ``backbone.*`` to a file of their own.

    The names keep their prefix, as every OpenMMLab project can take it off.

    Args:
        source (str): A checkpoint of this package or of MMSelfSup; nothing
            but tensors and plain data is unpickled from it.
        path (str): The file to write.

    Returns:
        int: How many tensors it holds.

    Raises:
        CheckpointError: The source is no checkpoint or has no backbone, or
            the file cannot be written.
    """
    check_destination(path)
    state, meta = weights_of(read_checkpoint(source), source)
    weights = {n: v for n, v in state.items() if n.startswith(PREFIX)}
    if not weights:
        found = sorted({str(name).split('.')[0] for name in state})
        raise CheckpointError(
            f'{source!r} has no key that begins with {PREFIX!r}, only '
            f'{", ".join(found[:8])}; give a checkpoint that this package or '
            "MMSelfSup has trained; convert_official.py reads the authors'")
    keep = {name: meta.get(name) for name in ('method', 'epoch', 'iter')}
    write_checkpoint(
        dict(state_dict=weights, meta=provenance(source, **keep)), path)
    return len(weights)
