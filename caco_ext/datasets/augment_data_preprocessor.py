"""Apply the random steps after the crop on the model's device."""
from typing import Any, List, Optional, Sequence, Tuple

import torch
from mmengine.registry import MODELS
from torch import Tensor

from .transforms import device_crops, device_ops
from .view_data_preprocessor import ViewDataPreprocessor


@MODELS.register_module()
class AugmentDataPreprocessor(ViewDataPreprocessor):
    """Apply what ``MultiCrop(on_device=True)`` drew, then normalise.

    The pipeline crops the views and draws the random numbers of all further
    steps. This module applies these plans. With
    ``MultiCrop(on_device='crop')`` it also decodes and crops the pictures.
    Batches without plans (kNN, evaluation) are only normalised. Levels are
    computed in float32 also where the model trains in mixed precision.

    Args:
        **kwargs: See :class:`ViewDataPreprocessor` (``mean``, ``std``,
            ``bgr_to_rgb``).

    Example:
        >>> MultiCrop(..., on_device=True)
        >>> PackSelfSupInputs(meta_keys=['img_path', 'view_plans'])
        >>> model = dict(
        ...     data_preprocessor=dict(type='AugmentDataPreprocessor'))
    """

    def forward(self,
                data: dict,
                training: bool = False) -> Tuple[List[Tensor], Optional[list]]:
        """Augment the views and normalise them.

        Args:
            data (dict): ``inputs``, a list of uint8 tensors (N, 3, h, w) in
                BGR, and ``data_samples``, N of them; see
                :func:`finish_views`.
            training (bool): Refuse a batch without plans. Defaults to False.

        Returns:
            tuple[list[Tensor], list]: The views, float32, and the samples.

        Raises:
            ValueError: If a training batch has no plans, or as
                :func:`finish_views`.
        """
        samples = data['data_samples']
        if all(sample.get('view_plans') is None for sample in samples):
            if training:
                raise ValueError(
                    'AugmentDataPreprocessor got a training batch without '
                    'view_plans; set on_device=True in MultiCrop and add '
                    "'view_plans' to meta_keys of the packing step, or use "
                    'ViewDataPreprocessor as data_preprocessor')
            return super().forward(data, training)
        with torch.autocast(self.device.type, enabled=False):
            views = finish_views(
                self.cast_data(data['inputs']), samples, self.device)
        return super().forward(dict(data, inputs=views), training)


def finish_views(views: Sequence[Tensor], samples: Sequence[Any],
                 device: torch.device) -> List[Tensor]:
    """Make the views of a batch as the workers planned them.

    Args:
        views (Sequence[Tensor]): (N, 3, h, w) uint8 BGR each, on the device.
            Empty if the crops are planned, too.
        samples (Sequence[BaseDataElement]): N, with ``view_plans`` and, for
            planned crops, ``img_source`` and ``img_path``.
        device (torch.device): The device.

    Returns:
        list[Tensor]: The views, (N, 3, h, w) uint8 BGR each.

    Raises:
        ValueError: If a picture does not have one plan for each view, or a
            crop no picture.
    """
    plans = [sample.get('view_plans') for sample in samples]
    count = len(views) or len(plans[0] or ())
    for plan in plans:
        if plan is None or len(plan) != count:
            raise ValueError(f'{count} views of a picture, but plans for '
                             f'{0 if plan is None else len(plan)}')
    by_view = [list(of_one) for of_one in zip(*plans)]
    if not views:
        views = _cut_as_planned(samples, by_view, device)
        by_view = [[plan[1:] for plan in of_one] for of_one in by_view]
    return [
        device_ops.run(view, of_one) for view, of_one in zip(views, by_view)
    ]


def _cut_as_planned(samples: Sequence[Any], by_view: List[list],
                    device: torch.device) -> List[Tensor]:
    """Cut the views that plans begin with from the samples' pictures."""
    sources = [sample.get('img_source') for sample in samples]
    if any(source is None for source in sources):
        raise ValueError("plans with a crop came without img_source; add it "
                         'to meta_keys of the packing step')
    paths = [sample.get('img_path', '<bytes>') for sample in samples]
    pictures = device_crops.decode(sources, paths, device)
    crops = [[plan[0][1:] for plan in of_one] for of_one in by_view]
    return device_crops.cut_views(pictures, [[crop[:4] for crop in of_one]
                                             for of_one in crops],
                                  [of_one[0][4] for of_one in crops])
