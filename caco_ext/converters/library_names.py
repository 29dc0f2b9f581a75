# Copyright (c) caco_ext authors. All rights reserved.
"""Names of a ResNet and of its weights in other libraries."""
import re
from typing import Dict, Mapping

from torch import Tensor

from .files import CheckpointError
from .resnet import Architecture

# The name of a ResNet in torchvision and timm.
_LIBRARY_NAMES: Dict[Architecture, str] = {
    **{
        Architecture(depth): f'resnet{depth}'
        for depth in (18, 34, 50, 101, 152)
    },
    Architecture(50, 128, 2): 'wide_resnet50_2',
    Architecture(101, 128, 2): 'wide_resnet101_2',
}
# detectron2's name by torchvision's, in the order in which they apply.
_DETECTRON2 = (
    (r'^(conv1|bn1)\.', r'stem.\1.'),
    (r'^layer(\d)\.', lambda match: f'res{int(match[1]) + 1}.'),
    (r'\bbn(\d)\.', r'conv\1.norm.'),
    (r'\bdownsample\.0\.', r'shortcut.'),
    (r'\bdownsample\.1\.', r'shortcut.norm.'),
)


def library_name(architecture: Architecture, library: str) -> str:
    """What torchvision and timm call a ResNet.

    Args:
        architecture (Architecture): The ResNet.
        library (str): For the error.

    Returns:
        str: As 'resnet50'.

    Raises:
        CheckpointError: They have none of this width.
    """
    if architecture not in _LIBRARY_NAMES:
        raise CheckpointError(
            f'{library} has no model of the size of {architecture.name}; it '
            f'has {", ".join(_LIBRARY_NAMES.values())}')
    return _LIBRARY_NAMES[architecture]


def to_detectron2(weights: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """Names of detectron2's ResNet.

    Args:
        weights (Mapping[str, Tensor]): By torchvision's names.

    Returns:
        dict[str, Tensor]: The same tensors.
    """
    return {_detectron2_name(name): value for name, value in weights.items()}


def _detectron2_name(name: str) -> str:
    for pattern, new in _DETECTRON2:
        name = re.sub(pattern, new, name)
    return name


def from_detectron2(state: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """Counterpart of :func:`to_detectron2`.

    Args:
        state (Mapping[str, Tensor]): By detectron2's names.

    Returns:
        dict[str, Tensor]: By torchvision's; names that no ResNet here has
        are left as they are.
    """
    names = {}
    for architecture in _LIBRARY_NAMES:
        for name in architecture.shapes():
            names[_detectron2_name(name)] = name
    return {names.get(name, name): value for name, value in state.items()}


def from_children(state: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """Names of a ResNet of which ``nn.Sequential`` was made.

    Args:
        state (Mapping[str, Tensor]): By the numbers of its children, as in
            ``nn.Sequential(*list(resnet50().children())[:-1])``.

    Returns:
        dict[str, Tensor]: By torchvision's names.
    """
    children = ('conv1', 'bn1', 'relu', 'maxpool', 'layer1', 'layer2',
                'layer3', 'layer4')
    numbers = {str(i): child for i, child in enumerate(children)}
    named = {}
    for name, value in state.items():
        head, _, tail = name.partition('.')
        named[f'{numbers.get(head, head)}.{tail}'] = value
    return named
