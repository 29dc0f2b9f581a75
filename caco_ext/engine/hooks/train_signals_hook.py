# Copyright (c) caco_ext authors. All rights reserved.
import time
from typing import Optional

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class TrainSignalsHook(Hook):
    """Log what tells whether pre-training goes well.

    Images per second of all ranks together, and what the model's ``signals``
    gives: coefficient of the key encoder's average, learning rate and mean
    norm of the bank, share of its columns that were positives this epoch.
    They reach the log, the scalars file and every visualizer with the losses.

    Args:
        interval (int): Iterations between two readings. They wait for the
            device, so this should be the logger's interval. Defaults to 50.

    Raises:
        ValueError: If the interval is less than one.
    """

    # Behind the timer, before the logger.
    priority = 'NORMAL'

    def __init__(self, interval: int = 50) -> None:
        if interval < 1:
            raise ValueError(f'interval={interval} of TrainSignalsHook must '
                             'be at least 1')
        self.interval = interval

    @staticmethod
    def _model(runner: Runner):
        model = runner.model
        return model.module if is_model_wrapper(model) else model

    def before_train_epoch(self, runner: Runner) -> None:
        """Count anew.

        Args:
            runner (Runner): The runner of the training.
        """
        self._since = time.perf_counter()
        self._images = 0
        memory = getattr(self._model(runner), 'memory', None)
        # In an epoch that is resumed the columns used before count too.
        if memory is not None and not runner.train_loop.batches_done:
            memory.reset_signals()

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Optional[dict] = None,
                         outputs: Optional[dict] = None) -> None:
        """Write the signals to the message hub.

        Args:
            runner (Runner): The runner of the training.
            batch_idx (int): Iteration in the epoch, from 0.
            data_batch (dict, optional): The batch, for its size.
            outputs (dict, optional): Not used.
        """
        self._images += len(data_batch['inputs'][0]) * get_world_size()
        last = batch_idx + 1 == len(runner.train_dataloader)
        if not last and not self.every_n_inner_iters(batch_idx, self.interval):
            return
        now = time.perf_counter()
        values = dict(images_per_second=self._images / (now - self._since))
        self._since, self._images = now, 0
        model = self._model(runner)
        if hasattr(model, 'signals'):
            values.update(model.signals())
        for name, value in values.items():
            runner.message_hub.update_scalar(f'train/{name}', value)
