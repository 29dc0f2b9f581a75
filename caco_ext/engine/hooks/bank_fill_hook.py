# Copyright (c) caco_ext authors. All rights reserved.
from contextlib import contextmanager
from itertools import count
from typing import Any, Iterator, List, Optional

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from caco_ext.datasets import EpochSeededSampler
from caco_ext.utils.loaders import remaining_batches
from caco_ext.utils.models import unwrap_model


@HOOKS.register_module()
class BankFillHook(Hook):
    """Fill a learnable bank with keys before the first epoch.

    As in AdCo and CaCo, the query encoder trains meanwhile with the run's own
    optimizer, whose momentum is carried into the first epoch. A data set with
    fewer pictures than columns is used several times. The hook does nothing
    if the model has no bank to fill.

    Args:
        full_lr (bool): Train at the optimizer's full learning rate, as the
            originals do. False trains at the first value of the schedule.
            Defaults to True.
    """

    # After KNNHook: the fill changes the network that it calls untrained.
    priority = 'LOWEST'

    def __init__(self, full_lr: bool = True) -> None:
        self.full_lr = full_lr
        self._done = 0
        self._rates: Optional[List[float]] = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Restore the progress of the fill."""
        if runner._resume:
            self._done = checkpoint.get('fill_steps', 0)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Save the progress of the fill and the run's own learning rate."""
        if self._rates is not None:
            checkpoint['fill_steps'] = self._done
            groups = checkpoint['optimizer']['param_groups']
            for group, lr in zip(groups, self._rates):
                group['lr'] = lr

    def before_train(self, runner: Runner) -> None:
        """Run the fill, or the rest of it."""
        module = unwrap_model(runner.model)
        memory = getattr(module, 'memory', None)
        if memory is None or not memory.needs_fill:
            return
        runner.logger.info(f'filling the bank of {memory.num_columns} columns')
        runner.model.train()
        # Steps of the fill do not count as steps of the run.
        runner.optim_wrapper.initialize_count_status(runner.model, self._done,
                                                     -1)
        with self._learning_rate(runner):
            for loss in self._steps(runner, module):
                if self._done % 20 == 0:
                    runner.logger.info(
                        f'fill [{int(memory.filled)}/{memory.num_columns}] '
                        f'loss: {loss:.4f}')
                if memory.needs_fill:
                    runner.call_hook('after_fill_iter')
        module.end_fill()
        runner.message_hub.update_info('fill_step', 0)
        # The end of the fill may interrupt an accumulation of gradients.
        runner.optim_wrapper.zero_grad()
        runner.optim_wrapper.initialize_count_status(runner.model, runner.iter,
                                                     runner.max_iters)
        runner.logger.info('the bank is filled')

    def _steps(self, runner: Runner, module: Any) -> Iterator[float]:
        loader = runner.train_dataloader
        first, skipped = divmod(self._done, len(loader))
        for epoch in count(first):
            sampler = loader.sampler
            if isinstance(sampler, EpochSeededSampler):
                # As in the originals: the pictures of the first epoch, but
                # other crops.
                sampler.set_epoch(epoch, stream=1)
            elif hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(epoch)
            for data in remaining_batches(loader, skipped):
                # The shuffle of keys depends on it.
                runner.message_hub.update_info('fill_step', self._done)
                runner.call_hook('before_fill_iter', data_batch=data)
                with runner.optim_wrapper.optim_context(runner.model):
                    data = module.data_preprocessor(data, True)
                    losses = runner.model(*data, mode='fill')
                loss, _ = module.parse_losses(losses)
                runner.optim_wrapper.update_params(loss)
                self._done += 1
                yield loss.item()
                if not module.memory.needs_fill:
                    return
            skipped = 0

    @contextmanager
    def _learning_rate(self, runner: Runner) -> Iterator[None]:
        groups = runner.optim_wrapper.param_groups
        self._rates = before = [group['lr'] for group in groups]
        if self.full_lr:
            for group in groups:
                group['lr'] = group.get('initial_lr', group['lr'])
        try:
            yield
        finally:
            for group, lr in zip(groups, before):
                group['lr'] = lr
            self._rates = None
