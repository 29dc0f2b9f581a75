"""Find mistakes in how a run is spread over processes and nodes."""
from mmengine.dist import all_gather_object
from mmengine.runner import Runner
from torch.distributed.fsdp import FullyShardedDataParallel

from caco_ext.utils.files import was_stopped


def check_wrapper(runner: Runner) -> None:
    """Refuse FSDP, and a runner or strategy that this run would ignore.

    The key encoder averages whole weights of the query encoder, and rank 0
    alone saves the checkpoint. FSDP leaves each rank a part of the weights.

    Args:
        runner (Runner): The runner, with its model wrapped.

    Raises:
        ValueError: The config asks for one of these. Names the way out.
    """
    way_out = ('leave it out, which gives DDP; to shard the state of the '
               'optimizer use optimizer=dict(type='
               "'ZeroRedundancyOptimizer', optimizer_type='SGD', ...)")
    if isinstance(runner.model, FullyShardedDataParallel):
        raise ValueError(
            'model_wrapper_cfg makes a '
            f'{type(runner.model).__name__}, which shards the weights. The '
            'key encoder averages whole weights, and rank 0 alone writes the '
            f'checkpoint; {way_out}')
    for name, only in (('runner_type', 'Runner'), ('strategy', None)):
        value = runner.cfg.get(name)
        if value not in (None, only):
            kind = value if isinstance(value, str) else value['type']
            raise ValueError(
                f'{name}={kind!r} is for the FlexibleRunner of mmengine, with '
                f"which this package's checkpoints and hooks do not work; "
                f'{way_out}')


def check_work_dir(runner: Runner) -> None:
    """Refuse to resume a stopped run that only some of the nodes can see.

    Args:
        runner (Runner): The runner.

    Raises:
        ValueError: ``stopped.pth`` is in the work folder of some ranks only.
    """
    if runner._resume or not any(
            getattr(hook, 'auto_resume', False) for hook in runner.hooks):
        return
    seen = all_gather_object(was_stopped(runner.work_dir))
    if any(seen) and not all(seen):
        ranks = [rank for rank, there in enumerate(seen) if there]
        raise ValueError(
            f'--work-dir {runner.work_dir}: only ranks {ranks} of {len(seen)} '
            'find the stopped run there, so they would go on alone; use a '
            'folder that all nodes share, or copy stopped.pth and '
            'last_checkpoint to each')
