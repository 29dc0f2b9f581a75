"""Apply the random steps after the crop on the model's device."""
from typing import Any

from mmengine.model import BaseDataPreprocessor
from mmengine.registry import MODELS

from .transforms import device_ops


@MODELS.register_module()
class AugmentDataPreprocessor(BaseDataPreprocessor):
    """Apply what ``MultiCrop(on_device=True)`` drew, then normalise.

    The pipeline crops the views and draws the random numbers of all further
    steps. This module applies these plans. Batches without plans (kNN,
    evaluation) are only normalised.

    Args:
        base (str): Type of the host's preprocessor, which normalises.
            Defaults to 'mmselfsup.SelfSupDataPreprocessor'.
        **kwargs: Arguments of ``base`` (``mean``, ``std``, ``bgr_to_rgb``).

    Example:
        >>> MultiCrop(..., on_device=True)
        >>> PackSelfSupInputs(meta_keys=['img_path', 'view_plans'])
        >>> model = dict(
        ...     data_preprocessor=dict(type='AugmentDataPreprocessor'))
    """

    def __init__(self,
                 base: str = 'mmselfsup.SelfSupDataPreprocessor',
                 **kwargs: Any) -> None:
        super().__init__()
        self.base = MODELS.build(dict(type=base, **kwargs))

    def forward(self, data: dict, training: bool = False) -> Any:
        """Augment the views and normalise them.

        Args:
            data (dict): ``inputs``, a list of uint8 tensors (N, 3, h, w) in
                BGR, and ``data_samples``, N of them with ``view_plans``.
            training (bool): Passed on to ``base``. Defaults to False.

        Returns:
            object: What ``base`` returns.

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
                    f'{type(self.base).__name__} as data_preprocessor')
            return self.base(data, training)
        views = self.cast_data(data['inputs'])
        for plan in plans:
            if plan is None or len(plan) != len(views):
                raise ValueError(
                    f'{len(views)} views of a picture, but plans for '
                    f'{0 if plan is None else len(plan)}')
        views = [
            device_ops.run(view, [plan[i] for plan in plans])
            for i, view in enumerate(views)
        ]
        return self.base(dict(data, inputs=views), training)
