"""What the network of a checkpoint makes of the pictures of its run."""
import hashlib
import io
import os
import os.path as osp
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.nn import functional as F

from caco_ext.engine.hooks.knn_hook import KNNHook
from caco_ext.evaluation import (KNNFeatures, build_feature_loader,
                                 features_and_labels)
from caco_ext.utils.files import write_whole
from caco_ext.utils.text import printable
from .loading import build_knn_hook, load_model, read_checkpoint
from .run_logs import RunLog, find_last_checkpoint
from .tiles import thumbnails

# A report of an ImageNet run is to take minutes: so many pictures of each
# set, of all classes alike, stand for it.
MOST_TRAIN, MOST_TEST = 10000, 2000


def rgb_picture(item: dict, view: int = 0) -> np.ndarray:
    """What the network sees of a picture.

    Args:
        item (dict): Of a data set: ``inputs``, uint8 tensors (3, H, W) BGR.
        view (int): Which of the views. Defaults to 0.

    Returns:
        np.ndarray: (H, W, 3) uint8 RGB.
    """
    bgr = item['inputs'][view]
    return np.ascontiguousarray(bgr.permute(1, 2, 0).numpy()[..., ::-1])


@dataclass
class Extracted:
    """Features of one of the two data sets.

    Attributes:
        dataset (Dataset): Where the pictures are.
        rows (np.ndarray): Numbers of its readable pictures, (N, ).
        labels (np.ndarray): Their labels, in the training set's numbers.
        pooled (Tensor): Averaged features of the backbone, (N, C), float32.
    """
    dataset: object
    rows: np.ndarray
    labels: np.ndarray
    pooled: Tensor

    @property
    def unit(self) -> Tensor:
        """Tensor: The features as unit vectors, (N, C)."""
        return F.normalize(self.pooled, dim=1)

    def picture(self, i: int) -> np.ndarray:
        """The i-th of the readable pictures, (H, W, 3) uint8 RGB."""
        return rgb_picture(self.dataset[int(self.rows[i])])


class RunFeatures:
    """Model and features of a checkpoint, each made once, when asked for.

    Args:
        cfg (Config): Config of the run.
        checkpoint (str): Checkpoint of the run.
        model (nn.Module, optional): The model, where it is there already.
            Defaults to None.
        hook (KNNHook, optional): The hook whose data sets are used, where it
            is there already. Defaults to None: the config's.
        cache (str, optional): Folder that keeps features between calls.
            Defaults to None: nothing is kept.
        most (tuple[int, int]): Pictures of the training and of the test set
            that are used, at most. Defaults to (10000, 2000).
    """

    def __init__(
        self,
        cfg: Optional[Config],
        checkpoint: Optional[str],
        model: Optional[nn.Module] = None,
        hook: Optional[KNNHook] = None,
        cache: Optional[str] = None,
        most: Tuple[int, int] = (MOST_TRAIN, MOST_TEST)
    ) -> None:
        self.cfg = cfg
        self.checkpoint = checkpoint
        self.cache = cache
        self.most = most
        if model is not None:
            self.model = model
        if hook is not None:
            self.hook = hook

    @cached_property
    def content(self) -> Dict[str, Any]:
        """dict: The open checkpoint. A training that goes on may remove the
        file; what was opened can be read all the same."""
        self.file  # noted now: later it may be gone
        return read_checkpoint(self.checkpoint)

    @cached_property
    def file(self) -> os.stat_result:
        """os.stat_result: Of the checkpoint when it was opened."""
        return os.stat(self.checkpoint)

    @cached_property
    def model(self) -> nn.Module:
        """nn.Module: See :func:`load_model`."""
        return load_model(self.cfg, self.checkpoint, self.content)

    @cached_property
    def hook(self) -> KNNHook:
        """KNNHook: See :func:`build_knn_hook`."""
        init_default_scope(self.cfg.get('default_scope') or 'mmengine')
        return build_knn_hook(self.cfg)

    def _extract(self, which: int) -> Extracted:
        part = self.hook.data.parts[which]
        dataset, indices, labels = part.dataset, part.indices, part.labels
        if len(indices) > self.most[which]:
            chosen = np.sort(choose_queries(labels, self.most[which]))
            indices, labels = indices[chosen], labels[chosen]
        path = self._cached(which, indices)
        if self.of_run is not None:
            rows, pooled = self.of_run[which]
            kept = np.flatnonzero(np.isin(indices, rows))
            pooled = pooled[np.isin(rows, indices)]
        elif path and osp.isfile(path):
            with np.load(path) as file:
                kept, pooled = file['kept'], torch.from_numpy(file['pooled'])
        else:
            # unreadable pictures drop out; the numbers say which ones stayed
            loader = build_feature_loader(dataset, indices,
                                          np.arange(len(indices)),
                                          self.hook.batch_size,
                                          self.hook.num_workers)
            pooled, kept = features_and_labels(
                self.model, loader, normalize=False)
            kept = kept.numpy()
            if path:
                os.makedirs(self.cache, exist_ok=True)
                content = io.BytesIO()
                np.savez(content, kept=kept, pooled=pooled.numpy())
                write_whole(path, content.getbuffer())
        return Extracted(dataset, indices[kept], labels[kept], pooled)

    @cached_property
    def of_run(self) -> Optional[tuple]:
        """tuple | None: What the run kept of this very network: places and
        features of both data sets."""
        if self.checkpoint is None:
            return None
        iteration = self.content.get('meta', {}).get('iter')
        found = KNNFeatures.load(osp.dirname(self.checkpoint), iteration)
        return found and ((found.train_index.numpy(), found.train),
                          (found.test_index.numpy(), found.test))

    def _cached(self, which: int, indices: np.ndarray) -> Optional[str]:
        """Where features are kept: another checkpoint, other pictures or
        another preprocessing have another name."""
        if self.cache is None:
            return None
        file = self.file
        data = [*self.hook.data.configs.values()][which]
        what = (file.st_size, file.st_mtime_ns, indices.tolist(), str(data),
                str(self.cfg.model))
        key = hashlib.sha256(repr(what).encode()).hexdigest()[:16]
        name = osp.splitext(osp.basename(self.checkpoint))[0]
        return osp.join(self.cache, f'{name}_{("train", "test")[which]}_'
                        f'{key}.npz')

    @cached_property
    def train(self) -> Extracted:
        """Extracted: The share of the training set that kNN searches."""
        return self._extract(0)

    @cached_property
    def test(self) -> Extracted:
        """Extracted: The test set of kNN."""
        return self._extract(1)

    @cached_property
    def thumbs(self) -> np.ndarray:
        """np.ndarray: The test set's pictures, small: (N, 56, 56, 3)."""
        return thumbnails(
            [self.test.picture(i) for i in range(len(self.test.rows))])

    def class_names(self, labels: Sequence[int]) -> List[str]:
        """Names of classes.

        Args:
            labels (Sequence[int]): In the training set's numbers.

        Returns:
            list[str]: The names, or the numbers where there are none.
        """
        train = self.hook.data.parts[0].dataset
        names = getattr(train, 'metainfo', {}).get('classes')
        return [printable(str(names[i] if names else i)) for i in labels]

    @torch.no_grad()
    def projected(self, features: Tensor) -> Optional[Tensor]:
        """Features behind the projector, where memories hold theirs.

        Args:
            features (Tensor): ``pooled`` ones, (N, C).

        Returns:
            Tensor | None: Unit vectors (N, D), on the CPU; None where the
            model has no projector of averaged features.
        """
        neck = getattr(self.model, 'neck', None)
        if neck is None:
            return None
        device = next(neck.parameters()).device
        # a map of one place is its own average
        maps = features[:, :, None, None].to(device)
        out = neck((maps, ))[0]
        return F.normalize(out.float(), dim=1).cpu()


def choose_queries(labels: np.ndarray, count: int, seed: int = 0) -> list:
    """Choose queries at random, of as many classes as possible.

    Args:
        labels (np.ndarray): Labels of the test set, shape (Q, ).
        count (int): How many.
        seed (int): Of the choice. Defaults to 0.

    Returns:
        list[int]: Indices.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    rounds = np.zeros(len(labels), dtype=int)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rounds[members] = np.arange(len(members))
    # one of every class first, then a second of every class, ...
    chosen = order[np.argsort(rounds[order], kind='stable')][:count]
    return chosen[np.argsort(labels[chosen], kind='stable')].tolist()


def open_features(log: RunLog,
                  checkpoint: Optional[str] = None,
                  **options) -> RunFeatures:
    """Open the checkpoint of a run that may still be training.

    Args:
        log (RunLog): The run.
        checkpoint (str, optional): Another checkpoint than its last.
            Defaults to None.
        **options: Of :class:`RunFeatures`.

    Returns:
        RunFeatures: With its checkpoint open. One that is damaged says so
        when it is used.
    """
    features = RunFeatures(log.cfg, checkpoint or log.checkpoint, **options)
    while features.checkpoint is not None:
        try:
            features.content
        except FileNotFoundError:
            # the training has removed it since the folder was looked at
            found = find_last_checkpoint(log.work_dir)
            if checkpoint or found == features.checkpoint:
                raise
            features = RunFeatures(log.cfg, found, **options)
            continue
        except ValueError:
            pass
        break
    return features
