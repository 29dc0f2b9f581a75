"""Send views to the model's device and normalise them, without waiting."""
from typing import Any, List, Optional, Sequence, Tuple

from mmengine.model import ImgDataPreprocessor
from mmengine.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class ViewDataPreprocessor(ImgDataPreprocessor):
    """Copy the views to the device and normalise them there.

    It gives the numbers of ``mmselfsup.SelfSupDataPreprocessor``, to the bit.
    That one makes the CPU wait for the GPU twice for each view: its copy is
    blocking, and it swaps the channels by a list of indices, which is a copy
    of its own. Here pictures in pinned memory (``pin_memory=True`` of the
    dataloader) are copied while the CPU goes on, and channels are flipped.

    Args:
        mean (Sequence[float], optional): Mean of each channel, in the order
            after the swap. Defaults to None (no normalisation).
        std (Sequence[float], optional): Standard deviations, likewise.
            Defaults to None.
        bgr_to_rgb (bool): Swap the channels. Defaults to False.
        non_blocking (bool): Copy without waiting. Defaults to True.

    Example:
        >>> model = dict(
        ...     data_preprocessor=dict(
        ...         type='ViewDataPreprocessor',
        ...         mean=(123.675, 116.28, 103.53),
        ...         std=(58.395, 57.12, 57.375),
        ...         bgr_to_rgb=True))
    """

    def __init__(self,
                 mean: Optional[Sequence[float]] = None,
                 std: Optional[Sequence[float]] = None,
                 bgr_to_rgb: bool = False,
                 non_blocking: bool = True) -> None:
        super().__init__(
            mean=mean,
            std=std,
            bgr_to_rgb=bgr_to_rgb,
            non_blocking=non_blocking)

    def forward(self,
                data: dict,
                training: bool = False) -> Tuple[List[Tensor], Optional[list]]:
        """Normalise a batch.

        Args:
            data (dict): ``inputs``, a list of uint8 tensors (N, 3, h, w), and
                ``data_samples``, N of them.
            training (bool): Not used; views are treated alike.
                Defaults to False.

        Returns:
            tuple[list[Tensor], list | None]: The views, float32, and the
            samples.
        """
        batch: Any = self.cast_data(data)
        views = [self.normalize(view) for view in batch['inputs']]
        return views, batch.get('data_samples')

    def normalize(self, view: Tensor) -> Tensor:
        """Swap the channels and normalise.

        Args:
            view (Tensor): (N, 3, h, w) on the device; not written into.

        Returns:
            Tensor: (N, 3, h, w), float32.
        """
        if self._channel_conversion:
            view = view.flip(1)
        if not self._enable_normalize:
            return view.float()
        # The difference of bytes and float32 is float32.
        return (view - self.mean).div_(self.std)
