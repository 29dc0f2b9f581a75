# Copyright (c) caco_ext authors. All rights reserved.
from typing import Optional

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop, Runner
from torch.utils.data import Dataset

from caco_ext.models.utils import check_view_count
from caco_ext.utils.models import unwrap_model
from caco_ext.utils.weights import describe_differences
from .. import device_checks, parallel_checks, schedule_checks, setup_checks
from ..monitors import check_monitors
from ..resume_changes import MODES, config_changes, review
from .knn_hook import KNNHook


@HOOKS.register_module()
class SetupCheckHook(Hook):
    """Find mistakes of a config before the first batch.

    It compares the views of the pipeline with those the model uses, and the
    batch with the data set and the memory. It compares a checkpoint's keys
    with the model's: if they differ, mmengine only warns and trains random
    weights. Before the training it encodes the views of one picture. It
    compares the config with GPU, driver and shared memory. See
    :mod:`caco_ext.engine.setup_checks` and
    :mod:`caco_ext.engine.device_checks`.

    Args:
        allow_cut_schedule (bool): Let schedules of learning rates and
            warm-ups be longer or shorter than the run, for trials. Defaults
            to False.
        resume_changes (str, optional): What to do if the settings of a
            resumed run differ from those in the checkpoint. 'apply' uses the
            present ones, 'keep' those of the checkpoint, None refuses. See
            :mod:`caco_ext.engine.resume_changes`. Defaults to None.

    Raises:
        ValueError: ``resume_changes`` is none of these.
    """

    priority = 'VERY_HIGH'
    changes_numbers = False

    def __init__(self,
                 allow_cut_schedule: bool = False,
                 resume_changes: Optional[str] = None) -> None:
        if resume_changes not in (None, *MODES):
            raise ValueError(
                f'resume_changes={resume_changes!r} of SetupCheckHook is '
                "unknown; use 'apply', 'keep' or None, which refuses")
        self.allow_cut_schedule = allow_cut_schedule
        self.resume_changes = resume_changes

    def before_run(self, runner: Runner) -> None:
        """Check what needs no weights."""
        setup_checks.check_names(runner.cfg)
        device_checks.check_gpu()
        if not isinstance(runner._train_loop, BaseLoop):
            return  # a test; asking for the property would build the loop
        parallel_checks.check_wrapper(runner)
        parallel_checks.check_work_dir(runner)
        model = unwrap_model(runner.model)
        setup_checks.check_loop(runner)
        setup_checks.check_sync_bn(runner)
        setup_checks.check_numbers(runner, model)
        setup_checks.check_batches(runner, model)
        device_checks.check_precision(runner, model)
        if not self.allow_cut_schedule:
            schedule_checks.check_schedules(runner, model)
        if not any(isinstance(hook, KNNHook) for hook in runner.hooks):
            check_monitors(runner, ())

    def before_train(self, runner: Runner) -> None:
        """Check data and model against each other."""
        setup_checks.check_progress(runner)
        model = unwrap_model(runner.model)
        wanted = getattr(model, 'num_views', None)
        made = _find_views(runner.train_dataloader.dataset)
        if wanted is not None and made is not None:
            check_view_count(made, wanted)
        setup_checks.check_trial(runner, model)
        device_checks.check_shared_memory(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse a checkpoint that does not fit the config or the model.

        When resuming or testing every key must be there; otherwise, for
        ``load_from``, at least those of the backbone.
        """
        theirs = checkpoint.get('state_dict', checkpoint)
        missing = {'meta', 'optimizer', 'message_hub'}.difference(checkpoint)
        if runner._resume and missing:
            raise ValueError(
                f'the checkpoint has no {", ".join(sorted(missing))}: it '
                'holds weights only, from which no run can be resumed; start '
                'from them with load_from and resume=False')
        model = unwrap_model(runner.model)
        own = model.state_dict()
        if runner._resume:
            differences = describe_differences(own, theirs)
        else:
            own = {k: v for k, v in own.items() if k.startswith('backbone.')}
            differences = describe_differences(own, theirs, part=True)
        if differences:
            method = type(model).__name__
            raise ValueError(
                f'the checkpoint does not fit {method} of this config: '
                f'{differences}. Is it of another method, depth or number of '
                f'columns?{self._named(runner, checkpoint)}')
        if runner._resume:
            review(runner, checkpoint, self.resume_changes)

    @staticmethod
    def _named(runner: Runner, checkpoint: dict) -> str:
        """Name the model's settings that a resumed run has changed."""
        changes = config_changes(runner, checkpoint) if runner._resume else []
        return ''.join(f' {change};' for change in changes
                       if change.option.startswith('model.')).rstrip(';')


def _find_views(dataset: Dataset) -> Optional[int]:
    """Number of views that a data set's pipeline makes; None if unknown."""
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
