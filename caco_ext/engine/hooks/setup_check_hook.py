# Copyright (c) caco_ext authors. All rights reserved.
from typing import Optional

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from caco_ext.utils import describe_differences


@HOOKS.register_module()
class SetupCheckHook(Hook):
    """Find mistakes of a config before the first batch.

    Compares the views of the pipeline with those the model uses, the batch
    with the data set and the memory, and a checkpoint's keys with the model's:
    mmengine only warns when they differ, and goes on with random weights.
    """

    priority = 'VERY_HIGH'

    @staticmethod
    def _model(runner: Runner):
        model = runner.model
        return model.module if is_model_wrapper(model) else model

    def before_train(self, runner: Runner) -> None:
        """Check data and model against each other.

        Args:
            runner (Runner): The runner of the training.

        Raises:
            ValueError: If they do not fit.
        """
        loader = runner.train_dataloader
        model = self._model(runner)
        if len(loader) == 0:
            raise ValueError(
                f'train_dataloader.batch_size={loader.batch_size} on '
                f'{get_world_size()} process(es) is larger than the data set '
                f'of {len(loader.dataset)} pictures, and drop_last=True '
                'leaves no batch; use a smaller batch_size')
        self._check_views(loader.dataset, model)
        memory = getattr(model, 'memory', None)
        batch = (loader.batch_size or 0) * get_world_size()
        if memory is not None and memory.num_columns < batch:
            raise ValueError(
                f'model.memory.num_columns={memory.num_columns} is less than '
                f'the global batch of {batch}; use at least as many columns')

    @staticmethod
    def _check_views(dataset, model) -> None:
        wanted = getattr(model, 'num_views', None)
        made = _find_views(dataset)
        if wanted is not None and made is not None and wanted != made:
            raise ValueError(
                f'the pipeline makes {made} views of a picture and the model '
                f'uses {wanted}; change num_views of the MultiCrop transform '
                'or query_views and key_views of the model')

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse a checkpoint that does not fit the model.

        When resuming or testing every key must be there; otherwise, for
        ``load_from``, at least those of the backbone.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): The checkpoint, before it is loaded.

        Raises:
            ValueError: With the counts and the first names that differ.
        """
        theirs = checkpoint.get('state_dict', checkpoint)
        own = self._model(runner).state_dict()
        if runner._resume:
            differences = describe_differences(own, theirs)
        else:
            own = {k: v for k, v in own.items() if k.startswith('backbone.')}
            differences = describe_differences(own, theirs, part=True)
        if differences:
            method = type(self._model(runner)).__name__
            raise ValueError(
                f'the checkpoint does not fit {method} of this config: '
                f'{differences}. Is it of another method, depth or number of '
                'columns?')


def _find_views(dataset) -> Optional[int]:
    """Views that a data set's pipeline makes; None where it cannot be told."""
    while hasattr(dataset, 'dataset'):  # wrappers
        dataset = dataset.dataset
    pipeline = getattr(getattr(dataset, 'pipeline', None), 'transforms', [])
    for transform in pipeline:
        views = getattr(transform, 'total_views', None)
        if views is None and hasattr(transform, 'num_views'):
            views = transform.num_views
        if views is not None:
            return views if isinstance(views, int) else sum(views)
    return None
