# Licensed under the Apache License, Version 2.0.
"""What mmpretrain calls or counts otherwise than mmselfsup did.

Imported by the registries of :mod:`.mmpretrain_scopes` when one of them is
first asked. Everything that is not here, mmpretrain has under the same name
and with the same arguments.
"""
import sys
from typing import Any, List, Optional, Sequence, Tuple

from mmpretrain.registry import MODELS as SUCCESSORS
from mmpretrain.registry import TRANSFORMS as SUCCESSOR_TRANSFORMS
from mmpretrain.registry import VISUALIZERS as SUCCESSOR_VISUALIZERS
from torch import Tensor

scope = sys.modules['mmselfsup.registry']


@scope.MODELS.register_module()
class SelfSupDataPreprocessor(SUCCESSORS.get('SelfSupDataPreprocessor')):
    """mmpretrain's, with a tuple for what it returns in a dict."""

    def forward(self,
                data: dict,
                training: bool = False) -> Tuple[List[Tensor], Optional[list]]:
        """Normalise a batch: the views in float32, and the samples."""
        result = super().forward(data, training)
        return result['inputs'], result.get('data_samples')


@scope.MODELS.register_module()
class ResNet(SUCCESSORS.get('ResNet')):
    """mmpretrain's, with outputs counted from the stem.

    Args:
        depth (int): Of the network.
        out_indices (Sequence[int]): 0 for the stem before its pooling, 1 to
            4 for the stages. Defaults to (4, ).
        **options: Of mmpretrain's ResNet.

    Raises:
        ValueError: An output that is not there.
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
class MoCo(SUCCESSORS.get('MoCo')):
    """mmpretrain's, with the weight of the old value for ``momentum``.

    Args:
        *args: Of mmpretrain's MoCo.
        momentum (float): Defaults to 0.999.
        **options: Of mmpretrain's MoCo.
    """

    def __init__(self,
                 *args: Any,
                 momentum: float = 0.999,
                 **options: Any) -> None:
        super().__init__(*args, momentum=1 - momentum, **options)


@scope.MODELS.register_module()
class BYOL(SUCCESSORS.get('BYOL')):
    """mmpretrain's, with the weight of the old value for ``base_momentum``.

    Args:
        *args: Of mmpretrain's BYOL.
        base_momentum (float): Defaults to 0.996.
        **options: Of mmpretrain's BYOL.
    """

    def __init__(self,
                 *args: Any,
                 base_momentum: float = 0.996,
                 **options: Any) -> None:
        super().__init__(*args, base_momentum=1 - base_momentum, **options)


@scope.TRANSFORMS.register_module()
class PackSelfSupInputs(SUCCESSOR_TRANSFORMS.get('PackInputs')):
    """mmpretrain's ``PackInputs``, with a list of views in any case.

    Args:
        key (str): Of the picture or the views. Defaults to 'img'.
        algorithm_keys (Sequence[str]): Of what the algorithm uses.
            Defaults to ().
        meta_keys (Sequence[str]): Of what describes the picture.
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
