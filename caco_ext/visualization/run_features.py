"""Features of the labelled pictures of a run, by one of its checkpoints."""
import hashlib
import io
import os
import os.path as osp
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Dict, Iterable, List, Optional, Tuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.nn import functional as F

from caco_ext.evaluation import KNNData, KNNFeatures, features_and_labels
from caco_ext.utils.checkpoints import read_checkpoint
from caco_ext.utils.files import write_whole
from caco_ext.utils.text import printable
from .loading import load_model
from .run_logs import RunLog, find_last_checkpoint
from .tiles import thumbnails

# At most so many pictures of each set, evenly from all classes, so that the
# report of an ImageNet run takes minutes.
MOST_TRAIN, MOST_TEST = 10000, 2000


def rgb_picture(item: dict, view: int = 0) -> np.ndarray:
    """Take one view of a picture as the network gets it.

    Args:
        item (dict): Item of a data set; its ``inputs`` are uint8 tensors
            (3, H, W), BGR.
        view (int): Index of the view. Defaults to 0.

    Returns:
        np.ndarray: (H, W, 3) uint8 RGB.
    """
    bgr = item['inputs'][view]
    return np.ascontiguousarray(bgr.permute(1, 2, 0).numpy()[..., ::-1])


@dataclass
class Extracted:
    """Features of one of the two data sets.

    Attributes:
        dataset (Dataset): The data set.
        rows (np.ndarray): Indices of its readable pictures, (N, ).
        labels (np.ndarray): Their labels, as the training set numbers the
            classes, (N, ).
        pooled (Tensor): Averaged features of the backbone, (N, C), float32.
    """
    dataset: Any
    rows: np.ndarray
    labels: np.ndarray
    pooled: Tensor

    @property
    def unit(self) -> Tensor:
        """Tensor: The features, normalised to unit length, (N, C)."""
        return F.normalize(self.pooled, dim=1)

    def picture(self, i: int) -> np.ndarray:
        """The i-th of the readable pictures, (H, W, 3) uint8 RGB."""
        return rgb_picture(self.dataset[int(self.rows[i])])


class RunFeatures:
    """Model and features of a checkpoint; each is computed on first use.

    Args:
        cfg (Config, optional): Config of the run. Not needed beside ``model``
            and ``data``.
        checkpoint (str, optional): Checkpoint of the run. Not needed beside
            ``model`` and ``data``.
        model (nn.Module, optional): The model, where it is built already.
            Defaults to None.
        data (KNNData, optional): The pictures. Defaults to None: those that
            measure the run of ``cfg``.
        cache (str, optional): Folder that keeps features between calls.
            Defaults to None: nothing is kept.
        most (tuple[int, int]): Largest number of training and of test
            pictures to use. Defaults to (10000, 2000).
    """

    def __init__(
        self,
        cfg: Optional[Config],
        checkpoint: Optional[str],
        model: Optional[nn.Module] = None,
        data: Optional[KNNData] = None,
        cache: Optional[str] = None,
        most: Tuple[int, int] = (MOST_TRAIN, MOST_TEST)
    ) -> None:
        self.cfg: Any = cfg
        self.checkpoint = checkpoint
        self.cache = cache
        self.most = most
        if model is not None:
            self.model = model
        if data is not None:
            self.data = data

    @cached_property
    def content(self) -> Dict[str, Any]:
        """dict: The open checkpoint. It can still be read after the training
        has removed the file."""
        assert self.checkpoint is not None
        self.file  # while the file is there
        return read_checkpoint(self.checkpoint, mmap=True)

    @cached_property
    def file(self) -> os.stat_result:
        """os.stat_result: Status of the checkpoint when it was opened."""
        assert self.checkpoint is not None
        return os.stat(self.checkpoint)

    @cached_property
    def model(self) -> nn.Module:
        """nn.Module: See :func:`load_model`."""
        assert self.checkpoint is not None
        return load_model(self.cfg, self.checkpoint, self.content)

    @cached_property
    def data(self) -> KNNData:
        """KNNData: The pictures that measure the run."""
        init_default_scope(self.cfg.get('default_scope') or 'mmengine')
        return KNNData.of_run(self.cfg)

    def _extract(self, which: int) -> Extracted:
        part = self.data.parts[which]
        dataset, indices, labels = part.dataset, part.indices, part.labels
        if len(indices) > self.most[which]:
            chosen = np.sort(choose_queries(labels, self.most[which]))
            indices, labels = indices[chosen], labels[chosen]
        path = self._cached(which, indices)
        if self.of_run is not None:
            rows, pooled = self.of_run[which]
            kept = np.flatnonzero(np.isin(indices, rows))  # readable ones
            pooled = pooled[np.isin(rows, indices)]
        elif path and osp.isfile(path):
            with np.load(path) as file:
                kept, pooled = file['kept'], torch.from_numpy(file['pooled'])
        else:
            # the places as labels say which pictures could be read
            loader = self.data.loader(dataset, indices.tolist(),
                                      range(len(indices)))
            pooled, places = features_and_labels(
                self.model, loader, normalize=False)
            kept = places.numpy()
            if path:
                content = io.BytesIO()
                np.savez(content, kept=kept, pooled=pooled.numpy())
                write_whole(path, content.getbuffer())
        return Extracted(dataset, indices[kept], labels[kept], pooled)

    @cached_property
    def of_run(self) -> Optional[Tuple[Tuple[np.ndarray, Tensor], ...]]:
        """tuple | None: Indices and features of both data sets, where the run
        kept them for this very checkpoint."""
        if self.checkpoint is None:
            return None
        iteration = self.content.get('meta', {}).get('iter')
        found = KNNFeatures.load(osp.dirname(self.checkpoint), iteration)
        if found is None:
            return None
        return ((found.train_index.numpy(), found.train),
                (found.test_index.numpy(), found.test))

    def _cached(self, which: int, indices: np.ndarray) -> Optional[str]:
        """Path of the kept features. Its name depends on the checkpoint, the
        pictures and the preprocessing."""
        if self.cache is None or self.checkpoint is None:
            return None
        data = [*self.data.configs.values()][which]
        what = (self.file.st_size, self.file.st_mtime_ns, indices.tolist(),
                str(data), str(self.cfg.model))
        key = hashlib.sha256(repr(what).encode()).hexdigest()[:16]
        name = osp.splitext(osp.basename(self.checkpoint))[0]
        return osp.join(self.cache, f'{name}_{("train", "test")[which]}_'
                        f'{key}.npz')

    @cached_property
    def train(self) -> Extracted:
        """Extracted: The training pictures that kNN searches."""
        return self._extract(0)

    @cached_property
    def test(self) -> Extracted:
        """Extracted: The test set of kNN."""
        return self._extract(1)

    @cached_property
    def thumbs(self) -> np.ndarray:
        """np.ndarray: Thumbnails of the test set, (N, 56, 56, 3) uint8."""
        return thumbnails(
            [self.test.picture(i) for i in range(len(self.test.rows))])

    def class_names(self, labels: Iterable[int]) -> List[str]:
        """Look up the names of classes.

        Args:
            labels (Iterable[int]): Labels, as the training set numbers them.

        Returns:
            list[str]: The names, or the labels where there are none.
        """
        train = self.data.parts[0].dataset
        names = getattr(train, 'metainfo', {}).get('classes')
        return [printable(str(names[i] if names else i)) for i in labels]

    @torch.no_grad()
    def projected(self, features: Tensor) -> Optional[Tensor]:
        """Send features through the projector, as for the memory.

        Args:
            features (Tensor): Averaged features, (N, C).

        Returns:
            Tensor | None: Unit vectors (N, D), on the CPU; None where the
            model has no projector of averaged features.
        """
        neck = getattr(self.model, 'neck', None)
        if neck is None:
            return None
        device = next(neck.parameters()).device
        # A map of one place equals its average.
        maps = features[:, :, None, None].to(device)
        out = neck((maps, ))[0]
        return F.normalize(out.float(), dim=1).cpu()


def choose_queries(labels: np.ndarray, count: int, seed: int = 0) -> List[int]:
    """Choose queries at random, of as many classes as possible.

    Args:
        labels (np.ndarray): Labels of the test set, shape (Q, ).
        count (int): How many.
        seed (int): Seed of the choice. Defaults to 0.

    Returns:
        list[int]: Indices.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    rounds = np.zeros(len(labels), dtype=int)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rounds[members] = np.arange(len(members))
    # First one of every class, then a second of every class, and so on.
    chosen = order[np.argsort(rounds[order], kind='stable')][:count]
    return chosen[np.argsort(labels[chosen], kind='stable')].tolist()


def open_features(log: RunLog,
                  checkpoint: Optional[str] = None) -> RunFeatures:
    """Open the checkpoint of a run that may still be training.

    Args:
        log (RunLog): The run.
        checkpoint (str, optional): The checkpoint to open. Defaults to None:
            the last one.

    Returns:
        RunFeatures: Its checkpoint is open. A damaged one raises an error
        when it is used.
    """
    features = RunFeatures(log.cfg, checkpoint or log.checkpoint)
    while features.checkpoint is not None:
        try:
            features.content
        except FileNotFoundError:
            # The training has just removed it.
            found = find_last_checkpoint(log.work_dir)
            if checkpoint or found == features.checkpoint:
                raise
            features = RunFeatures(log.cfg, found)
            continue
        except ValueError:
            pass
        break
    return features
