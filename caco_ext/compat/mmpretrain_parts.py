# Licensed under the Apache License, Version 2.0.
"""Classes that have other names or arguments in mmpretrain than in mmselfsup.

The registries of :mod:`.mmpretrain_scopes` import this module when they are
first used. All other classes have the same names and arguments in mmpretrain.
"""
import sys
from typing import Any, List, Optional, Sequence, Tuple

from mmpretrain import datasets, models
from mmpretrain.registry import VISUALIZERS as SUCCESSOR_VISUALIZERS
from torch import Tensor

scope = sys.modules['mmselfsup.registry']


@scope.MODELS.register_module()
class SelfSupDataPreprocessor(models.SelfSupDataPreprocessor):
    """mmpretrain's class, but returns a tuple instead of a dict."""

    def forward(self,
                data: dict,
                training: bool = False) -> Tuple[List[Tensor], Optional[list]]:
        """Normalise a batch: the views in float32, and the samples."""
        result = super().forward(data, training)
        return result['inputs'], result.get('data_samples')


@scope.MODELS.register_module()
class ResNet(models.ResNet):
    """mmpretrain's class, but counts outputs from the stem.

    Args:
        depth (int): Depth of the network.
        out_indices (Sequence[int]): 0 for the stem before its pooling, 1 to
            4 for the stages. Defaults to (4, ).
        **options: Arguments of mmpretrain's ResNet.

    Raises:
        ValueError: There is no such output.
    """

    def __init__(self,
                 depth: int,
                 out_indices: Sequence[int] = (4, ),
                 **options: Any) -> None:
        stages = options.get('num_stages', 4)
        if not all(0 <= i <= stages for i in out_indices):
            raise ValueError(f'out_indices={out_indices}: ResNet has the stem '
                             f'(0) and stages 1 to {stages}')
        super().__init__(depth, out_indices=(stages - 1, ), **options)
        self.out_indices = tuple(out_indices)

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Compute the feature maps of ``out_indices``, the finest first."""
        if self.deep_stem:
            x = self.stem(x)
        else:
            x = self.relu(self.norm1(self.conv1(x)))
        maps = [x]
        x = self.maxpool(x)
        for name in self.res_layers:
            x = getattr(self, name)(x)
            maps.append(x)
        return tuple(maps[i] for i in sorted(self.out_indices))


@scope.MODELS.register_module()
class MoCo(models.MoCo):
    """mmpretrain's class, but ``momentum`` is the weight of the old value.

    Args:
        *args: Arguments of mmpretrain's MoCo.
        momentum (float): Defaults to 0.999.
        **options: Arguments of mmpretrain's MoCo.
    """

    def __init__(self,
                 *args: Any,
                 momentum: float = 0.999,
                 **options: Any) -> None:
        super().__init__(*args, momentum=1 - momentum, **options)


@scope.MODELS.register_module()
class BYOL(models.BYOL):
    """mmpretrain's class, but ``base_momentum`` weights the old value.

    Args:
        *args: Arguments of mmpretrain's BYOL.
        base_momentum (float): Defaults to 0.996.
        **options: Arguments of mmpretrain's BYOL.
    """

    def __init__(self,
                 *args: Any,
                 base_momentum: float = 0.996,
                 **options: Any) -> None:
        super().__init__(*args, base_momentum=1 - base_momentum, **options)


@scope.TRANSFORMS.register_module()
class PackSelfSupInputs(datasets.PackInputs):
    """mmpretrain's ``PackInputs``, but always packs a list of views.

    Args:
        key (str): Key of the picture or the views. Defaults to 'img'.
        algorithm_keys (Sequence[str]): Keys that the algorithm uses.
            Defaults to ().
        meta_keys (Sequence[str]): Keys that describe the picture.
            Defaults to ().
    """

    def __init__(
        self,
        key: str = 'img',
        algorithm_keys: Sequence[str] = (),
        meta_keys: Sequence[str] = ()
    ) -> None:
        super().__init__(key, tuple(algorithm_keys), tuple(meta_keys))

    def transform(self, results: dict) -> dict:
        """Pack a picture; ``inputs`` is a list of (3, H, W) tensors."""
        packed = super().transform(results)
        if not isinstance(packed.get('inputs', []), list):
            packed['inputs'] = [packed['inputs']]
        return packed


scope.VISUALIZERS.register_module(
    name='SelfSupVisualizer',
    module=SUCCESSOR_VISUALIZERS.get('UniversalVisualizer'))
