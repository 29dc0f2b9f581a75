# Licensed under the Apache License, Version 2.0.
"""Shard the state of an optimizer over the processes (ZeRO, stage 1)."""
from typing import Any, Callable, Iterable, Iterator

from mmengine.dist import get_world_size, is_main_process
from mmengine.registry import OPTIMIZERS
from torch.optim import Optimizer

from caco_ext.utils.patching import replaces
from .versions import Outcome


def shard_any_optimizer() -> Outcome:
    """Let ``ZeroRedundancyOptimizer`` shard any registered optimizer.

    What breaks: mmengine 0.10 looks for ``optimizer_type`` in ``torch.optim``
    alone. ``CaCoLARS``, or ``LARS`` of the hosts, is an ``AttributeError``,
    and a run of one process a ``ValueError`` about process groups.

    Remedy: look in the registry of optimizers, which also holds those of
    torch. Other names and a single process are refused with the way out.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.optim import ZeroRedundancyOptimizer

    @replaces(ZeroRedundancyOptimizer, '__init__')
    def init(_: Callable, self: Any, params: Iterable, optimizer_type: str,
             **kwargs: Any) -> None:
        if get_world_size() == 1:
            raise ValueError(
                'ZeroRedundancyOptimizer shards the state of its optimizer '
                'over the processes, and this run has one; start several with '
                "tools/dist_train.sh, or use optimizer=dict(type="
                f'{optimizer_type!r}, ...)')
        with OPTIMIZERS.switch_scope_and_registry(None) as registry:
            local = registry.get(optimizer_type)
        if local is None or not issubclass(local, Optimizer):
            raise ValueError(
                f'optimizer_type={optimizer_type!r} of '
                'ZeroRedundancyOptimizer is no registered optimizer; use one '
                "such as 'SGD' or 'CaCoLARS'")
        super(ZeroRedundancyOptimizer,
              self).__init__(list(params), local, **kwargs)

    return True, 'mmengine shards only optimizers of torch'


def save_sharded_state() -> Outcome:
    """Let all processes take part when a sharded state is saved.

    What breaks: in mmengine 0.10 only the main process saves a checkpoint. A
    ``ZeroRedundancyOptimizer`` collects its state from all of them, so the
    first checkpoint waits for the others until the time limit.

    Remedy: the other processes send their part.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.optim import ZeroRedundancyOptimizer
    from mmengine.runner import Runner

    @replaces(Runner, 'save_checkpoint')
    def save_together(save: Callable,
                      self: Runner,
                      out_dir: str,
                      filename: str,
                      file_client_args: Any = None,
                      save_optimizer: bool = True,
                      *args: Any,
                      **kwargs: Any) -> None:
        if save_optimizer and not is_main_process():
            for optimizer in _optimizers(self):
                if isinstance(optimizer, ZeroRedundancyOptimizer):
                    optimizer.consolidate_state_dict()
        save(self, out_dir, filename, file_client_args, save_optimizer, *args,
             **kwargs)

    return True, 'only the main process would collect a sharded state'


def _optimizers(runner: Any) -> Iterator[Optimizer]:
    """Optimizers of a runner, whether one or several."""
    from mmengine.optim import OptimWrapperDict
    wrapper = runner.optim_wrapper
    for one in (wrapper.values()
                if isinstance(wrapper, OptimWrapperDict) else [wrapper]):
        yield one.optimizer
