"""VOC2007 classification: labels, average precision, linear SVMs."""
import os.path as osp
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from .frozen import FrozenBackbone, features_of

CLASSES = ('aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car',
           'cat', 'chair', 'cow', 'diningtable', 'dog', 'horse', 'motorbike',
           'person', 'pottedplant', 'sheep', 'sofa', 'train', 'tvmonitor')


@DATASETS.register_module()
class VOC07Pictures(BaseDataset):
    """Pictures of VOC2007 with the labels of its classification task.

    Args:
        data_root (str): ``VOCdevkit/VOC2007``.
        split (str): 'train', 'val', 'trainval' or 'test'.
        pipeline (Sequence[dict]): Configs of transforms. Defaults to ().

    Attributes:
        targets (np.ndarray): int8 (N, 20): 1 if the class is present, -1 if
            it is absent, 0 if it has only difficult objects and is not
            counted.

    Raises:
        FileNotFoundError: A list or a picture is missing.
        ValueError: A list names other pictures than the first.
    """
    METAINFO = dict(classes=CLASSES)

    def __init__(self,
                 data_root: str,
                 split: str,
                 pipeline: Sequence[dict] = ()) -> None:
        self.split = split
        super().__init__(data_root=data_root, pipeline=list(pipeline))

    def load_data_list(self) -> List[Dict[str, Any]]:
        """Read the 20 lists of ``ImageSets/Main``.

        Returns:
            list[dict]: 'img_path', and the index as 'gt_label'.
        """
        names, columns = None, []
        for label in CLASSES:
            path = osp.join(self.data_root, 'ImageSets', 'Main',
                            f'{label}_{self.split}.txt')
            if not osp.isfile(path):
                raise FileNotFoundError(
                    f'{path} does not exist; VOC2007 has it for every class '
                    "(its test set's are in VOCtest_06-Nov-2007.tar)")
            with open(path, encoding='utf-8') as file:
                rows = [line.split() for line in file if line.strip()]
            listed = [row[0] for row in rows]
            if names is not None and listed != names:
                raise ValueError(f'{path} lists other pictures than that of '
                                 f'{CLASSES[0]}')
            names = listed
            columns.append([int(row[1]) for row in rows])
        self.targets = np.array(columns, dtype=np.int8).T
        paths = [
            osp.join(self.data_root, 'JPEGImages', f'{name}.jpg')
            for name in listed
        ]
        missing = [path for path in paths if not osp.isfile(path)]
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of the {len(paths)} pictures of '
                f'{self.split} are not on the disk, first {missing[0]}')
        return [dict(img_path=p, gt_label=i) for i, p in enumerate(paths)]


def average_precision(truth: np.ndarray, scores: np.ndarray) -> float:
    """Area under the precision-recall curve of one class.

    Args:
        truth (np.ndarray): Positive if present, shape (N, ). Pictures with 0
            are left out.
        scores (np.ndarray): Shape (N, ).

    Returns:
        float: scikit-learn's ``average_precision_score``.
    """
    from sklearn.metrics import average_precision_score
    used = truth != 0
    return float(average_precision_score(truth[used] > 0, scores[used]))


def average_precision_11(truth: np.ndarray, scores: np.ndarray) -> float:
    """VOC2007's measure: the mean of the best precision at 11 recalls.

    Args:
        truth, scores: As :func:`average_precision`.

    Returns:
        float: In 0..1.
    """
    used = truth != 0
    truth, scores = truth[used] > 0, scores[used]
    hits = truth[np.argsort(-scores, kind='stable')]
    recall = np.cumsum(hits) / max(1, hits.sum())
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(
        np.mean([
            precision[recall >= level].max(initial=0.)
            for level in np.linspace(0, 1, 11)
        ]))


def class_precisions(targets: np.ndarray,
                     scores: np.ndarray) -> Dict[str, float]:
    """Both average precisions of every class, and their means.

    Args:
        targets (np.ndarray): See :class:`VOC07Pictures`, shape (N, 20).
        scores (np.ndarray): Shape (N, 20).

    Returns:
        dict[str, float]: Values in per cent: 'mAP' (area), 'mAP_11points',
        'AP_cat' (area) and so on.
    """
    area = [average_precision(t, s) for t, s in zip(targets.T, scores.T)]
    points = [average_precision_11(t, s) for t, s in zip(targets.T, scores.T)]
    return dict(
        mAP=100 * float(np.mean(area)),
        mAP_11points=100 * float(np.mean(points)),
        **{
            f'AP_{name}': 100 * ap
            for name, ap in zip(CLASSES, area)
        })


def image_precision(targets: np.ndarray, scores: np.ndarray) -> float:
    """The original's measure: average precision of a picture over 20 labels.

    This is not VOC's mAP, as it ranks scores of different classes against
    each other. Pictures with only difficult objects are left out.

    Args:
        targets, scores: As :func:`class_precisions`.

    Returns:
        float: Mean over pictures, per cent.
    """
    from sklearn.metrics import average_precision_score
    present = targets > 0
    rows = np.flatnonzero(present.any(1))
    return 100 * float(
        np.mean([
            average_precision_score(present[row], scores[row]) for row in rows
        ]))


def check_targets(targets: np.ndarray, what: str, least: int = 1) -> None:
    """Check that every class has pictures with and without it.

    Args:
        targets (np.ndarray): See :class:`VOC07Pictures`.
        what (str): What they are needed for, in errors.
        least (int): Positives that a class needs. Defaults to 1.

    Raises:
        ValueError: A class has too few.
    """
    for name, column in zip(CLASSES, targets.T):
        present, absent = int((column > 0).sum()), int((column < 0).sum())
        if present < least or absent < least:
            raise ValueError(
                f'{what}: {name} is in {present} pictures and not in '
                f'{absent}, and {least} of each are needed')


def build_split(cfg: Config, split: str) -> VOC07Pictures:
    """One split of the config's VOC2007.

    Args:
        cfg (Config): Has 'data_root' and 'pipeline'.
        split (str): See :class:`VOC07Pictures`.

    Returns:
        VOC07Pictures: The pictures.
    """
    return DATASETS.build(
        dict(
            type='VOC07Pictures',
            data_root=cfg.data_root,
            split=split,
            pipeline=cfg.pipeline))


def split_features(cfg: Config, model: FrozenBackbone,
                   dataset: VOC07Pictures) -> Tuple[np.ndarray, np.ndarray]:
    """Unit features and labels of a split.

    Args:
        cfg (Config): Has 'pipeline', and optionally 'cache' and loader
            options.
        model (FrozenBackbone): Extracts the features.
        dataset (VOC07Pictures): The split.

    Returns:
        tuple[np.ndarray, np.ndarray]: float64 features (N, C), int8 targets
        (N, 20).
    """
    features, rows = features_of(
        model,
        dataset,
        cfg.pipeline,
        cache=cfg.get('cache'),
        batch_size=cfg.get('batch_size', 64),
        num_workers=cfg.get('num_workers', 2))
    array = features.double().numpy()
    norms = np.linalg.norm(array, axis=1, keepdims=True)
    return array / np.maximum(norms, 1e-12), dataset.targets[rows.numpy()]
