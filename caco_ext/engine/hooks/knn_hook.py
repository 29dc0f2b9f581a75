"""kNN accuracy of the features while a run trains."""
import os.path as osp
from dataclasses import asdict
from typing import Dict, List, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.dist import all_reduce, get_dist_info, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import (BaseLoop, EpochBasedTrainLoop, Runner,
                             save_checkpoint)
from torch import Tensor, nn
from torch.nn import functional as F

from caco_ext.evaluation import (KNNData, KNNFeatures, check_knn_options,
                                 features_and_labels, knn_correct,
                                 name_accuracies, preserve_rng)
from caco_ext.utils.models import unwrap_model
from ..monitors import check_monitors, offer, replay, report


@HOOKS.register_module()
class KNNHook(Hook):
    """Classify labelled pictures by their neighbours in feature space.

    Works with every algorithm that has ``backbone`` and
    ``data_preprocessor``. The features are the globally averaged last map of
    the (query) backbone. Results, in per cent, are named ``knn/top1`` and
    ``knn/top5`` (``knn/top1_k20`` and so on with several ``k``). They go to
    the log, the scalars file, TensorBoard, the message hub and to a
    ``CheckpointHook`` with ``save_best='knn/top1'``. The hook does not touch
    the training's random numbers: a run is the same with and without it.

    CaCo's own monitor also uses k = 20 and temperature 0.2. But it searches
    the alphabetically first 20 % of each training class, and pads its test
    set with duplicates. Here the share is random but fixed, and every test
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
        save_features (bool): Save the features of the latest evaluation as
            ``knn_features.pth`` in the work folder, for the tools that draw
            them. N searched and Q classified pictures with C channels take
            4 (N + Q) C bytes. Defaults to False.

    Raises:
        ValueError: An option is out of range.
    """

    # After the training's log lines, before the checkpoint of the epoch.
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
        self.k = k
        self.temperature = temperature
        self.interval = interval
        self.evaluate_untrained = before_train
        self.save_features = save_features
        self.data = KNNData(train_dataset, test_dataset, k, train_share, seed,
                            batch_size, num_workers)

    @property
    def metric_names(self) -> Tuple[str, ...]:
        """tuple[str]: Names of the results, the same after every epoch."""
        ks = check_knn_options(self.k, self.temperature)
        zero = torch.zeros(len(ks), 2)
        names = name_accuracies(zero, 1, self.k, self.data.num_classes)
        return tuple(f'knn/{name}' for name in names)

    def before_run(self, runner: Runner) -> None:
        """Build the data sets, so that errors come before the training."""
        loop = runner._train_loop
        if not isinstance(loop, BaseLoop):
            return  # a test; asking for the property would build the loop
        if not isinstance(loop, EpochBasedTrainLoop):
            raise ValueError('KNNHook counts epochs, but train_cfg makes a '
                             f'{type(loop).__name__}; set '
                             'train_cfg=dict(by_epoch=True, max_epochs=...)')
        self._check_model(runner.model)
        known = self.data.check(loop.dataloader.dataset)
        check_monitors(runner, self.metric_names)
        runner.logger.info(self.data.text)
        if not known:
            runner.logger.warning('kNN: these are other pictures than those '
                                  'of the training')

    def before_train(self, runner: Runner) -> None:
        """Evaluate the untrained network, unless the run is resumed."""
        if runner.iter > 0:
            replay(runner)
        elif self.evaluate_untrained:
            metrics = self.evaluate(runner, keep=True)
            report(runner, metrics, 0, '(untrained network)')

    def after_train_epoch(self, runner: Runner) -> None:
        """Evaluate, log, and pass the results on to other hooks."""
        if not (self.every_n_epochs(runner, self.interval)
                or self.is_last_train_epoch(runner)):
            return
        metrics = self.evaluate(runner, keep=True)
        report(runner, metrics, runner.epoch + 1)
        offer(runner, metrics)

    def evaluate(self, runner: Runner, keep: bool = False) -> Dict[str, float]:
        """Measure the accuracy of the runner's model. All ranks must call it.

        Args:
            runner (Runner): Only its ``model`` is used, unless features are
                saved, so it need not train.
            keep (bool): Save the features if ``save_features`` is set.
                Defaults to False.

        Returns:
            dict[str, float]: Accuracies in per cent, see ``metric_names``.

        Raises:
            ValueError: As ``data.parts``.
        """
        features = self.extract(runner.model)
        if keep and self.save_features and is_main_process():
            save_checkpoint(
                dict(asdict(features), iter=runner.iter),
                osp.join(runner.work_dir, KNNFeatures.file_name))
        bank, query = features.train, features.test
        for vectors in (bank, query):  # in place, as they may be large
            F.normalize(vectors, dim=1, out=vectors)
        labels, truth = map(torch.as_tensor, self.labels_of(features))
        if not len(truth):
            raise ValueError('KNNHook: no picture of test_dataset is readable')
        rank, world = get_dist_info()
        device = next(runner.model.parameters()).device
        counts = knn_correct(bank, labels, query[rank::world].to(device),
                             truth[rank::world], self.k,
                             self.temperature).cpu()
        all_reduce(counts)
        results = name_accuracies(counts, len(truth), self.k,
                                  self.data.num_classes)
        return {f'knn/{name}': value for name, value in results.items()}

    def extract(self, model: nn.Module) -> KNNFeatures:
        """Features of the training share and of the test set.

        All ranks must call it, and all get the features of all ranks.

        Args:
            model (nn.Module): Has ``backbone`` and ``data_preprocessor``.

        Returns:
            KNNFeatures: Features of the readable pictures.

        Raises:
            ValueError: As ``data.parts``.
        """
        self._check_model(model)
        found: List[Tensor] = []
        with preserve_rng():
            # The labels are indices: missing ones are unreadable pictures.
            for part in self.data.parts:
                places = part.indices.tolist()
                loader = self.data.loader(part.dataset, places, places)
                found += features_and_labels(model, loader, normalize=False)
        return KNNFeatures(*found)

    def labels_of(self,
                  features: KNNFeatures) -> Tuple[np.ndarray, np.ndarray]:
        """Labels of the pictures whose features were extracted.

        Args:
            features (KNNFeatures): From :meth:`extract`.

        Returns:
            tuple[np.ndarray, np.ndarray]: Labels of the N pictures of the
            training share and of the Q test pictures, in the same numbering.
        """
        train, test = self.data.parts
        places = np.searchsorted(train.indices, features.train_index)
        return train.labels[places], test.labels[features.test_index]

    @staticmethod
    def _check_model(model: nn.Module) -> None:
        model = unwrap_model(model)
        for name in ('backbone', 'data_preprocessor'):
            if not hasattr(model, name):
                raise ValueError(f'KNNHook needs model.{name}, which '
                                 f'{type(model).__name__} does not have')
