import math
from typing import Any, Dict, Union

from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import DataLoader


@LOOPS.register_module()
class IterationTrainLoop(EpochBasedTrainLoop):
    """Train for a number of iterations, but still in epochs.

    The loop goes through the data epoch by epoch, like mmengine's epoch
    loop. So everything that counts epochs works, and a run can be resumed
    inside one. The last epoch ends with the last iteration.

    Args:
        runner (Runner): The runner.
        dataloader (DataLoader | dict): The loader or its config.
        max_iters (int): Iterations of the run.
        **kwargs: Arguments of :class:`mmengine.runner.EpochBasedTrainLoop`.

    Raises:
        ValueError: ``max_iters`` is no positive integer, or the number of
            epochs is given as well.

    Example:
        >>> train_cfg = dict(type='IterationTrainLoop', max_iters=100000)
    """

    def __init__(self, runner: Runner, dataloader: Union[DataLoader, Dict],
                 max_iters: int, **kwargs: Any) -> None:
        if int(max_iters) != max_iters or max_iters < 1:
            raise ValueError(f'train_cfg.max_iters={max_iters!r} of '
                             'IterationTrainLoop must be a positive integer')
        if 'max_epochs' in kwargs:
            raise ValueError('train_cfg has max_epochs beside the max_iters '
                             'of IterationTrainLoop; a config that inherits '
                             'it needs _delete_=True in train_cfg')
        super().__init__(runner, dataloader, max_epochs=1, **kwargs)
        self._max_iters = int(max_iters)
        self._max_epochs = math.ceil(max_iters / max(1, len(self.dataloader)))

    @property
    def iterations_left(self) -> int:
        """int: Iterations that are still to be trained."""
        return self._max_iters - self._iter

    @property
    def batches_cut(self) -> int:
        """int: Batches trained in the last epoch if the run ended inside it;
        else 0."""
        if self.iterations_left:
            return 0
        return self._max_iters % len(self.dataloader)

    def run(self) -> nn.Module:
        """Train the remaining iterations.

        Returns:
            nn.Module: The model.
        """
        # A finished run may have ended inside an epoch.
        self.stop_training = not self.iterations_left
        return super().run()
