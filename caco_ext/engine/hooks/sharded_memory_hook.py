# Copyright (c) caco_ext authors. All rights reserved.
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class ShardedMemoryHook(Hook):
    """Let all ranks take part when a sharded memory is saved.

    The runner makes a checkpoint on its main process alone, which has a part
    of the columns only. Around each ``runner.save_checkpoint``, which every
    rank calls, this gathers them. Nothing happens to a whole memory.
    """

    changes_numbers = False

    def before_run(self, runner: Runner) -> None:
        """Wrap ``runner.save_checkpoint``.

        Args:
            runner (Runner): The runner of the training.
        """
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        memory = getattr(model, 'memory', None)
        if memory is None or memory.sharding.num_shards == 1:
            return
        save = runner.save_checkpoint

        def save_together(*args, **kwargs) -> None:
            memory.collect()
            try:
                save(*args, **kwargs)
            finally:
                memory.release()

        runner.save_checkpoint = save_together
