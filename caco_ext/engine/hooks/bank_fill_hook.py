# Copyright (c) caco_ext authors. All rights reserved.
from contextlib import contextmanager
from itertools import count
from typing import Iterator

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from caco_ext.datasets import EpochSeededSampler


@HOOKS.register_module()
class BankFillHook(Hook):
    """Fill a learnable bank with keys before the first epoch.

    The query encoder trains meanwhile, with the run's own optimizer, as in
    AdCo and CaCo; its momentum goes into the first epoch. A data set with
    fewer pictures than columns is passed several times. Models without a bank
    that has to be filled are left alone.

    Args:
        full_lr (bool): Train at the optimizer's full learning rate, as the
            originals do, and not at the first value of the schedule.
            Defaults to True.
    """

    # Behind the kNN of the untrained network, which the fill trains.
    priority = 'LOWEST'

    def __init__(self, full_lr: bool = True) -> None:
        self.full_lr = full_lr

    def before_train(self, runner: Runner) -> None:
        """Run the fill.

        Args:
            runner (Runner): The runner of the training.
        """
        module = runner.model
        if is_model_wrapper(module):
            module = module.module
        memory = getattr(module, 'memory', None)
        if memory is None or not memory.needs_fill:
            return
        runner.logger.info(f'filling the bank of {memory.num_columns} columns')
        runner.model.train()
        with self._learning_rate(runner):
            for loss, done in self._steps(runner, module):
                if done % 20 == 0:
                    runner.logger.info(
                        f'fill [{int(memory.filled)}/{memory.num_columns}] '
                        f'loss: {loss:.4f}')
        module.end_fill()
        # The steps of the fill are not those of the run.
        runner.optim_wrapper.initialize_count_status(runner.model, runner.iter,
                                                     runner.max_iters)
        runner.logger.info('the bank is filled')

    def _steps(self, runner: Runner, module) -> Iterator:
        done = 0
        for epoch in count():
            sampler = runner.train_dataloader.sampler
            if isinstance(sampler, EpochSeededSampler):
                # The pictures of the first epoch, as in the originals, in
                # other crops.
                sampler.set_epoch(epoch, stream=1)
            elif hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(epoch)
            for data in runner.train_dataloader:
                with runner.optim_wrapper.optim_context(runner.model):
                    data = module.data_preprocessor(data, True)
                    losses = runner.model(*data, mode='fill')
                loss, _ = module.parse_losses(losses)
                runner.optim_wrapper.update_params(loss)
                done += 1
                yield loss.item(), done
                if not module.memory.needs_fill:
                    return

    @contextmanager
    def _learning_rate(self, runner: Runner) -> Iterator[None]:
        groups = runner.optim_wrapper.param_groups
        before = [group['lr'] for group in groups]
        if self.full_lr:
            for group in groups:
                group['lr'] = group.get('initial_lr', group['lr'])
        try:
            yield
        finally:
            for group, lr in zip(groups, before):
                group['lr'] = lr
