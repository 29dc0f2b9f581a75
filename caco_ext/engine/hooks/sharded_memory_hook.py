# Copyright (c) caco_ext authors. All rights reserved.
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from caco_ext.utils.models import unwrap_model


@HOOKS.register_module()
class ShardedMemoryHook(Hook):
    """Let all ranks take part when a sharded memory is saved.

    Every rank calls ``runner.save_checkpoint``, but only the main process
    makes the checkpoint, and it holds only its own shard. So this hook
    gathers the columns first. A memory that is not sharded needs nothing.
    """

    changes_numbers = False

    def before_run(self, runner: Runner) -> None:
        """Wrap ``runner.save_checkpoint``."""
        memory = getattr(unwrap_model(runner.model), 'memory', None)
        if memory is None or memory.sharding.num_shards == 1:
            return
        save = runner.save_checkpoint

        def save_together(*args: Any, **kwargs: Any) -> None:
            memory.collect()
            try:
                save(*args, **kwargs)
            finally:
                memory.release()

        runner.save_checkpoint = save_together
