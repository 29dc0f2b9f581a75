"""Watch the features become useful: kNN accuracy while a run trains."""
import os.path as osp
from dataclasses import asdict
from typing import Dict, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.dist import all_reduce, get_dist_info, is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import DATASETS, HOOKS
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, save_checkpoint
from torch import nn
from torch.nn import functional as F

from caco_ext.evaluation import (KNNFeatures, build_feature_loader,
                                 check_knn_options, choose_share,
                                 extract_features, knn_correct,
                                 name_accuracies, preserve_rng, read_labels,
                                 translate_labels)


class _AfterEpoch:
    """A runner as a validation would see it: the epoch counts as done.

    Args:
        runner (Runner): The runner, inside ``after_train_epoch``.
    """

    def __init__(self, runner) -> None:
        self._runner = runner

    def __getattr__(self, name):
        return getattr(self._runner, name)

    @property
    def epoch(self) -> int:
        """int: Number of finished epochs, the current one included."""
        return self._runner.epoch + 1


@HOOKS.register_module()
class KNNHook(Hook):
    """Classify labelled pictures by their neighbours in feature space.

    Works with every algorithm that has ``backbone`` and
    ``data_preprocessor``. The features are the globally averaged last map of
    the (query) backbone. Results, in per cent, are named ``knn/top1`` and
    ``knn/top5`` (``knn/top1_k20`` and so on with several ``k``). They go to
    the log, the scalars file, TensorBoard, the message hub and to a
    ``CheckpointHook`` with ``save_best='knn/top1'``. The training's random
    numbers are left untouched: a run is the same with and without the hook.

    CaCo's own monitor uses k = 20 and temperature 0.2 like this hook, but the
    alphabetically first 20 % of each training class and a test set padded
    with duplicates; here the share is random but fixed, and every test
    picture counts once.

    Args:
        train_dataset (dict): Config of the labelled data set to search.
        test_dataset (dict): Config of the labelled data set to classify.
        k (int | list[int]): Number(s) of neighbours. Defaults to 20.
        temperature (float): Temperature of the weights exp(cos / T).
            Defaults to 0.2.
        train_share (float): Share of each training class that is searched.
            Defaults to 1.0.
        interval (int): Epochs between two evaluations; the last epoch is
            always evaluated. Defaults to 1.
        before_train (bool): Whether to evaluate the untrained network too,
            logged as epoch 0. Defaults to True.
        batch_size (int): Pictures per batch and rank. Defaults to 64.
        num_workers (int): Loader processes per rank. Defaults to 2.
        seed (int): Chooses the training share. Defaults to 0.
        save_features (bool): Keep the vectors of the newest evaluation of
            an epoch as ``knn_features.pth`` in the work folder, for the tools
            that draw them: 4 (N + Q) C bytes. Defaults to False.

    Raises:
        ValueError: An option is out of range.
    """

    # after the training's own log lines, before the checkpoint of the epoch
    priority = 'LOW'
    changes_numbers = False

    def __init__(self,
                 train_dataset: dict,
                 test_dataset: dict,
                 k: Union[int, Sequence[int]] = 20,
                 temperature: float = 0.2,
                 train_share: float = 1.0,
                 interval: int = 1,
                 before_train: bool = True,
                 batch_size: int = 64,
                 num_workers: int = 2,
                 seed: int = 0,
                 save_features: bool = False) -> None:
        check_knn_options(k, temperature)
        for name, value, least in (('interval', interval, 1), ('batch_size',
                                                               batch_size, 1),
                                   ('num_workers', num_workers, 0)):
            if isinstance(value,
                          bool) or not isinstance(value, int) or value < least:
                raise ValueError(f'{name}={value!r} of KNNHook must be an '
                                 f'integer of at least {least}')
        if not 0 < train_share <= 1:
            raise ValueError(f'train_share={train_share!r} of KNNHook must be '
                             'above 0 and at most 1')
        self.train_cfg = train_dataset
        self.test_cfg = test_dataset
        self.k = k
        self.temperature = temperature
        self.train_share = train_share
        self.interval = interval
        self.evaluate_untrained = before_train
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.save_features = save_features
        self._sets: Optional[Tuple[tuple, tuple, int]] = None

    @property
    def metric_names(self) -> Tuple[str, ...]:
        """tuple[str]: Names of the results, the same after every epoch."""
        ks = check_knn_options(self.k, self.temperature)
        zero = torch.zeros(len(ks), 2)
        return tuple(f'knn/{m}' for m in name_accuracies(zero, 1, self.k))

    def before_run(self, runner) -> None:
        """Build the data sets, so that errors come before the training."""
        loop = runner._train_loop
        if not isinstance(loop, BaseLoop):
            return  # a test; asking for the property would build the loop
        if not isinstance(loop, EpochBasedTrainLoop):
            raise ValueError('KNNHook counts epochs, but train_cfg makes a '
                             f'{type(loop).__name__}; set '
                             'train_cfg=dict(by_epoch=True, max_epochs=...)')
        self._check_model(runner.model)
        for hook in self._checkpoint_hooks(runner):
            wrong = [
                name for name in hook.save_best
                if name.startswith('knn') and name not in self.metric_names
            ]
            if wrong:
                raise ValueError(
                    f'save_best={wrong[0]!r} is none of the results of '
                    f'KNNHook: {", ".join(self.metric_names)}')
        self.build_datasets()

    def before_train(self, runner) -> None:
        """Evaluate the untrained network, unless the run is resumed."""
        if self.evaluate_untrained and runner.iter == 0:
            self._report(runner, self.evaluate(runner, keep=True), 0)

    def after_train_epoch(self, runner) -> None:
        """Evaluate, log, and let the checkpoint hook judge."""
        if not (self.every_n_epochs(runner, self.interval)
                or self.is_last_train_epoch(runner)):
            return
        metrics = self.evaluate(runner, keep=True)
        self._report(runner, metrics, runner.epoch + 1)
        for hook in self._checkpoint_hooks(runner):
            self._offer(hook, runner, metrics)

    def evaluate(self, runner, keep: bool = False) -> Dict[str, float]:
        """Measure the accuracy of the runner's model. All ranks must call it.

        Args:
            runner (Runner): Only its ``model`` is used, so a runner that
                never trains will do, unless features are kept.
            keep (bool): Whether to keep the features where ``save_features``
                wishes it. Defaults to False.

        Returns:
            dict[str, float]: Per cent, see ``metric_names``.

        Raises:
            ValueError: As :meth:`build_datasets`.
        """
        features = self.extract(runner.model)
        if keep and self.save_features and is_main_process():
            save_checkpoint(
                dict(asdict(features), iter=runner.iter),
                osp.join(runner.work_dir, KNNFeatures.file_name))
        bank, query = features.train, features.test
        for vectors in (bank, query):  # in place: a bank may fill the memory
            F.normalize(vectors, dim=1, out=vectors)
        (_, share, labels), (_, _, truth), num_classes = self.build_datasets()
        places = np.searchsorted(share, features.train_index)
        labels = torch.as_tensor(labels[places])
        truth = torch.as_tensor(truth[features.test_index])
        if not len(truth):
            raise ValueError('KNNHook: no picture of test_dataset is readable')
        rank, world = get_dist_info()
        device = next(runner.model.parameters()).device
        counts = knn_correct(bank, labels, query[rank::world].to(device),
                             truth[rank::world], self.k, self.temperature,
                             num_classes).cpu()
        all_reduce(counts)
        results = name_accuracies(counts, len(truth), self.k)
        return {f'knn/{name}': value for name, value in results.items()}

    def extract(self, model: nn.Module) -> KNNFeatures:
        """Features of the training share and of the test set.

        All ranks must call it; all get everything.

        Args:
            model (nn.Module): With ``backbone`` and ``data_preprocessor``.

        Returns:
            KNNFeatures: Those of the readable pictures.

        Raises:
            ValueError: As :meth:`build_datasets`.
        """
        self._check_model(model)
        found = []
        with preserve_rng():
            # Labelled by their places, which tell what is unreadable.
            for dataset, places, _ in self.build_datasets()[:2]:
                loader = build_feature_loader(dataset, places, places,
                                              self.batch_size,
                                              self.num_workers)
                found += extract_features(model, loader, normalize=False)
        return KNNFeatures(*found)

    def build_datasets(self) -> Tuple[tuple, tuple, int]:
        """Build and check both data sets; once, later calls return the same.

        Returns:
            tuple: ``(dataset, indices, labels)`` of the training share and
            the same of the test set, and the number of classes.

        Raises:
            ValueError: A label is missing, a test class does not occur in
                training, or ``k`` exceeds the training share.
        """
        if self._sets is None:
            with preserve_rng():
                train = DATASETS.build(self.train_cfg)
                test = DATASETS.build(self.test_cfg)
            labels = read_labels(train, 'train_dataset of KNNHook')
            test_labels = read_labels(test, 'test_dataset of KNNHook')
            test_labels = translate_labels(train, labels, test, test_labels)
            share = choose_share(labels, self.train_share, self.seed)
            most = max(check_knn_options(self.k, self.temperature))
            if most > len(share):
                raise ValueError(
                    f'k={most} neighbours, but train_share='
                    f'{self.train_share} of train_dataset of KNNHook leaves '
                    f'{len(share)} pictures; lower k or raise train_share')
            self._sets = ((train, share, labels[share]),
                          (test, np.arange(len(test)), test_labels),
                          int(labels.max()) + 1)
        return self._sets

    @staticmethod
    def _check_model(model) -> None:
        model = model.module if is_model_wrapper(model) else model
        for name in ('backbone', 'data_preprocessor'):
            if not hasattr(model, name):
                raise ValueError(f'KNNHook needs model.{name}, which '
                                 f'{type(model).__name__} does not have')

    @staticmethod
    def _checkpoint_hooks(runner):
        return [
            hook for hook in runner.hooks
            if isinstance(hook, CheckpointHook) and hook.save_best
        ]

    def _report(self, runner, metrics: Dict[str, float], epoch: int) -> None:
        """Write the results of an epoch wherever mmengine keeps results."""
        text = '  '.join(f'{name}: {v:.2f}' for name, v in metrics.items())
        note = '  (untrained network)' if epoch == 0 else ''
        runner.logger.info(f'Epoch(val) [{epoch}]  {text}{note}')
        for name, value in metrics.items():
            runner.message_hub.update_scalar('val/' + name.replace('/', '_'),
                                             value)
        runner.visualizer.add_scalars(
            metrics, step=epoch, file_path=f'{runner.timestamp}.json')

    @staticmethod
    def _offer(hook: CheckpointHook, runner, metrics: dict) -> None:
        """Let a checkpoint hook keep the best.

        Calling ``after_val_epoch`` of all hooks would make ``LoggerHook``
        look for a validation loader that does not exist.
        """
        known = all(name == 'auto' or name in metrics
                    for name in hook.save_best)
        if not known:  # it waits for the results of a validation loop
            return
        # It would rewrite the last regular checkpoint, under the name of this
        # epoch, to store the new best score. The regular one of this epoch
        # comes right after and stores it anyway.
        last, hook.last_ckpt = hook.last_ckpt, None
        try:
            hook.after_val_epoch(_AfterEpoch(runner), metrics)
        finally:
            hook.last_ckpt = last
