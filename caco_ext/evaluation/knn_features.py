"""Features of a kNN evaluation, and their file in a run's folder."""
import os.path as osp
import warnings
from dataclasses import dataclass
from typing import Optional

from torch import Tensor

from caco_ext.utils.checkpoints import CheckpointError, read_checkpoint


@dataclass
class KNNFeatures:
    """Averaged features of both data sets of a kNN evaluation.

    Attributes:
        train (Tensor): Features of the training share, float32, (N, C), not
            normalised.
        train_index (Tensor): Their indices in the data set, int64, (N, ).
        test (Tensor): Features of the test set, float32, (Q, C).
        test_index (Tensor): Their indices in the data set, int64, (Q, ).
    """
    train: Tensor
    train_index: Tensor
    test: Tensor
    test_index: Tensor

    # Beside the checkpoints of a run.
    file_name = 'knn_features.pth'

    @classmethod
    def load(cls, work_dir: str, iteration: int) -> Optional['KNNFeatures']:
        """Read the features that a run with ``save_features`` saved.

        Args:
            work_dir (str): The folder of the run.
            iteration (int): Iterations that the network was trained for.

        Returns:
            KNNFeatures, optional: None if there is no such file, if it is of
            another iteration, or, with a warning, if it is damaged.
        """
        path = osp.join(work_dir, cls.file_name)
        if not osp.isfile(path):
            return None
        try:
            content = read_checkpoint(path)
            same = content.pop('iter') == iteration
            return cls(**content) if same else None
        except (CheckpointError, AttributeError, KeyError, TypeError) as error:
            warnings.warn(f'{path} cannot be read ({type(error).__name__}); '
                          'its features are made anew')
            return None
