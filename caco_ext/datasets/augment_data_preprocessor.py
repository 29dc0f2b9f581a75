"""Apply the random steps after the crop on the model's device."""
from typing import List, Optional, Tuple

import torch
from mmengine.registry import MODELS
from torch import Tensor

from .transforms import device_ops
from .view_data_preprocessor import ViewDataPreprocessor


@MODELS.register_module()
class AugmentDataPreprocessor(ViewDataPreprocessor):
    """Apply what ``MultiCrop(on_device=True)`` drew, then normalise.

    The pipeline crops the views and draws the random numbers of all further
    steps. This module applies these plans. Batches without plans (kNN,
    evaluation) are only normalised. Levels are computed in float32 also where
    the model trains in mixed precision.

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
                BGR, and ``data_samples``, N of them with ``view_plans``.
            training (bool): Refuse a batch without plans. Defaults to False.

        Returns:
            tuple[list[Tensor], list]: The views, float32, and the samples.

        Raises:
            ValueError: If a picture of a training batch does not have one
                plan for each view.
        """
        plans = [sample.get('view_plans') for sample in data['data_samples']]
        if all(plan is None for plan in plans):
            if training:
                raise ValueError(
                    'AugmentDataPreprocessor got a training batch without '
                    'view_plans; set on_device=True in MultiCrop and add '
                    "'view_plans' to meta_keys of the packing step, or use "
                    'ViewDataPreprocessor as data_preprocessor')
            return super().forward(data, training)
        views = self.cast_data(data['inputs'])
        for plan in plans:
            if plan is None or len(plan) != len(views):
                raise ValueError(
                    f'{len(views)} views of a picture, but plans for '
                    f'{0 if plan is None else len(plan)}')
        with torch.autocast(self.device.type, enabled=False):
            views = [
                device_ops.run(view, [plan[i] for plan in plans])
                for i, view in enumerate(views)
            ]
        return super().forward(dict(data, inputs=views), training)
