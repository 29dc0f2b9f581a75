"""What a kNN evaluation compares, and where a run keeps it."""
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
        train (Tensor): Of the training share, float32, shape (N, C), of
            any length.
        train_index (Tensor): Their places in the data set, int64, (N, ).
        test (Tensor): Of the test set, float32, shape (Q, C).
        test_index (Tensor): Their places in the data set, int64, (Q, ).
    """
    train: Tensor
    train_index: Tensor
    test: Tensor
    test_index: Tensor

    # Beside the checkpoints of a run.
    file_name = 'knn_features.pth'

    @classmethod
    def load(cls, work_dir: str, iteration: int) -> Optional['KNNFeatures']:
        """Read what a run with ``save_features`` left behind.

        Args:
            work_dir (str): The folder of the run.
            iteration (int): How many the network meant was trained for.

        Returns:
            KNNFeatures, optional: None if there is no such file, one of
            another iteration, or a damaged one, which is warned of.
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
