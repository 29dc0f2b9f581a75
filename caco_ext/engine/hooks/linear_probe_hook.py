"""Linear probe at the end of a run."""
import json
import os.path as osp

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import BaseLoop, Runner

from caco_ext.evaluation import KNNFeatures, check_probe, linear_probe_accuracy
from caco_ext.utils.files import write_whole
from ..monitors import report
from .knn_hook import KNNHook


@HOOKS.register_module()
class LinearProbeHook(Hook):
    """Train a linear classifier on the frozen backbone of a finished run.

    It uses the labelled pictures of the run's KNNHook, also only its
    ``train_share`` of them, without augmentation. Their features are the
    averaged last map of the (query) backbone. See
    :func:`caco_ext.evaluation.linear_probe_accuracy` for the classifier.

    The results, in per cent, are ``linear/top1`` and ``linear/mean_class``,
    the mean of the accuracies of the classes. They go to the log, the scalars
    file, TensorBoard and the message hub. ``linear_probe.json`` in the work
    folder also names the pictures and the strength of the penalty. A finished
    run that is resumed is measured again.

    Raises:
        ValueError: Before the training: the run has no KNNHook, or too few
            pictures.
        MissingExtraError: Likewise: scikit-learn is not installed.
    """

    # Before the report of the run.
    priority = 'LOW'
    changes_numbers = False
    file_name = 'linear_probe.json'

    def before_run(self, runner: Runner) -> None:
        """Check the surroundings, so that errors come before the training."""
        if not isinstance(runner._train_loop, BaseLoop):
            return  # a test
        check_probe(
            _knn_hook(runner).data.parts[0].labels, 'train_dataset of KNNHook')

    def after_train(self, runner: Runner) -> None:
        """Measure; the first process trains the classifier."""
        features = _knn_hook(runner).extract(runner.model)
        if is_main_process():
            self._measure(runner, features)

    def _measure(self, runner: Runner, features: KNNFeatures) -> None:
        """Train the classifier, log and write."""
        knn = _knn_hook(runner)
        train, test = features.train.numpy(), features.test.numpy()
        labels, truth = knn.labels_of(features)
        runner.logger.info(f'linear probe: training on {len(train)} pictures')
        found = linear_probe_accuracy(train, labels, test, truth)
        metrics = {
            'linear/top1': found.top1,
            'linear/mean_class': found.mean_class
        }
        report(runner, metrics, runner.epoch, f'({found.text})')
        data = knn.data.describe()
        # Without those that could not be read.
        data['train']['pictures'] = len(train)
        data['test']['pictures'] = len(test)
        content = dict(
            epoch=runner.epoch,
            iter=runner.iter,
            metrics=metrics,
            c=found.c,
            c_at_edge=found.at_edge,
            data=data)
        write_whole(
            osp.join(runner.work_dir, self.file_name),
            json.dumps(content, indent=2) + '\n')


def _knn_hook(runner: Runner) -> KNNHook:
    """The KNNHook of a run, whose pictures are used."""
    for hook in runner.hooks:
        if isinstance(hook, KNNHook):
            return hook
    raise ValueError(
        'the linear probe (--linear) takes its labelled pictures from '
        'KNNHook, which this config does not have; add it as '
        'default_hooks.knn, or leave --linear out')
