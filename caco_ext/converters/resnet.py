# Copyright (c) caco_ext authors. All rights reserved.
"""Depth and widths of a ResNet by its weights; its names in libraries."""
import re
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

from torch import Tensor

from caco_ext.utils.text import first_of

# Blocks of each stage and whether they are bottlenecks, by depth.
DEPTHS: Dict[int, Tuple[Tuple[int, ...], bool]] = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}
Shape = Tuple[int, ...]


class Architecture(NamedTuple):
    """A ResNet with the stride in its 3x3 convolutions.

    Attributes:
        depth (int): One of :data:`DEPTHS`.
        base_channels (int): Inner width of the first stage's blocks.
            Defaults to 64.
        expansion (int): Ratio of outer to inner width. None means 4 with
            bottlenecks and 1 without. Defaults to None.
        stem_channels (int): Channels of the stem. Defaults to 64.
        stem_kernel (int): 7, or 3 for small pictures: then the stem has no
            stride and no pooling. Defaults to 7.
    """
    depth: int
    base_channels: int = 64
    expansion: Optional[int] = None
    stem_channels: int = 64
    stem_kernel: int = 7

    @property
    def factor(self) -> int:
        """Ratio of outer to inner width of a block."""
        return self.expansion or (4 if DEPTHS[self.depth][1] else 1)

    @property
    def out_channels(self) -> int:
        """Channels of the last map."""
        return 8 * self.base_channels * self.factor

    @property
    def name(self) -> str:
        """Name such as 'ResNet-50', with the widths if they are unusual."""
        name = f'ResNet-{self.depth}'
        if self.stem_kernel == 3:
            name += ' with a 3x3 stem'
        widths = self._replace(stem_kernel=7)
        if widths == Architecture(self.depth):
            return name
        if widths == Architecture(self.depth, 128, 2):
            return f'{name} (2x)'
        return (f'{name} (stem {self.stem_channels}, inner '
                f'{self.base_channels}, outer '
                f'{self.base_channels * self.factor})')

    def options(self) -> Dict[str, Any]:
        """Config of the hosts' backbone.

        Returns:
            dict[str, Any]: 'type', 'depth', and the sizes that differ from
            the defaults.
        """
        usual = Architecture(self.depth)
        small = self.stem_kernel == 3
        return dict(
            type='mmcls.ResNet_CIFAR' if small else 'mmselfsup.ResNet',
            depth=self.depth,
            **self.sizes(usual))

    def sizes(self, usual: Optional['Architecture'] = None) -> Dict[str, int]:
        """Sizes as arguments of the hosts' ResNets.

        Args:
            usual (Architecture, optional): Leave out what equals this one's.
                Defaults to None: nothing.

        Returns:
            dict[str, int]: All fields but the kernel of the stem, which the
            class decides.
        """
        return {
            name: value
            for name, value in self._asdict().items()
            if name != 'stem_kernel' and value != getattr(usual, name, None)
        }

    def shapes(self) -> Dict[str, Shape]:
        """Every entry of the backbone's state dict.

        Returns:
            dict[str, tuple[int, ...]]: Shape by name, in the order in which
            torchvision and the hosts register them.
        """
        kernel = (self.stem_kernel, self.stem_kernel)
        shapes = _conv('conv1', (self.stem_channels, 3, *kernel), 'bn1')
        blocks, bottleneck = DEPTHS[self.depth]
        before = self.stem_channels
        for stage, count in enumerate(blocks):
            inner = self.base_channels * 2**stage
            outer = inner * self.factor
            for block in range(count):
                prefix = f'layer{stage + 1}.{block}.'
                if bottleneck:
                    convs = [(inner, before, 1, 1), (inner, inner, 3, 3),
                             (outer, inner, 1, 1)]
                else:
                    convs = [(inner, before, 3, 3), (outer, inner, 3, 3)]
                for number, shape in enumerate(convs, 1):
                    shapes.update(
                        _conv(f'{prefix}conv{number}', shape,
                              f'{prefix}bn{number}'))
                # A stride or a change of width needs a projection.
                if block == 0 and (stage > 0 or before != outer):
                    shapes.update(
                        _conv(f'{prefix}downsample.0', (outer, before, 1, 1),
                              f'{prefix}downsample.1'))
                before = outer
        return shapes


def _conv(conv: str, shape: Shape, norm: str) -> Dict[str, Shape]:
    """A convolution without bias and its batch norm."""
    shapes = {f'{conv}.weight': shape}
    for name in ('weight', 'bias', 'running_mean', 'running_var'):
        shapes[f'{norm}.{name}'] = shape[:1]
    shapes[f'{norm}.num_batches_tracked'] = ()
    return shapes


def detect(state: Mapping[str, Tensor], where: str) -> Architecture:
    """Find the architecture and check that its weights are complete.

    Args:
        state (Mapping[str, Tensor]): Weights; may hold other entries, too.
        where (str): Name of the weights in errors.

    Returns:
        Architecture: Architecture of the backbone.

    Raises:
        ValueError: It is no ResNet, or its depth is unknown, or entries are
            missing or have other shapes.
    """
    found: Dict[int, int] = {}
    for name in state:
        match = re.match(r'layer(\d+)\.(\d+)\.', name)
        if match:
            stage, block = int(match[1]), int(match[2])
            found[stage] = max(found.get(stage, 0), block + 1)
    blocks = tuple(found[stage] for stage in sorted(found))
    bottleneck = 'layer1.0.conv3.weight' in state
    depth = next((depth for depth, layout in DEPTHS.items()
                  if layout == (blocks, bottleneck)), None)
    kind = 'bottleneck' if bottleneck else 'basic'
    if depth is None or 'conv1.weight' not in state:
        stem = 'conv1.weight' in state
        raise ValueError(
            f'{where} is no ResNet of depth {", ".join(map(str, DEPTHS))}: '
            f'it has {"a" if stem else "no"} conv1.weight and '
            f'{blocks or "no"} {kind} blocks in layer1, layer2, ...')
    last = 'conv3' if bottleneck else 'conv2'
    widths = [state.get(f'layer1.0.{name}.weight') for name in ('conv2', last)]
    if any(w is None or w.ndim != 4 for w in widths):
        raise ValueError(f'{where}: layer1.0.conv2.weight or '
                         f'layer1.0.{last}.weight is missing or no '
                         'convolution')
    inner = state['layer1.0.conv2.weight'].size(1)
    outer = state[f'layer1.0.{last}.weight'].size(0)
    if not bottleneck:
        inner = outer
    expansion = outer // inner
    architecture = Architecture(
        depth, inner,
        None if expansion == (4 if bottleneck else 1) else expansion,
        state['conv1.weight'].size(0),
        3 if state['conv1.weight'].size(-1) == 3 else 7)
    _check_shapes(state, architecture.shapes(), f'{where} ({kind} blocks, '
                  f'{architecture.name})')
    return architecture


def _check_shapes(state: Mapping[str, Tensor], wanted: Mapping[str, Shape],
                  where: str) -> None:
    """Check that entries are there and have their shapes."""
    wrong = []
    for name, shape in wanted.items():
        if name not in state:
            wrong.append(f'{name} is missing')
        elif tuple(state[name].shape) != tuple(shape):
            wrong.append(f'{name} is {list(state[name].shape)} and should '
                         f'be {list(shape)}')
    if wrong:
        raise ValueError(f'{where}: {first_of(wrong, 4, "; ")}')


# The name of a ResNet in torchvision and timm.
LIBRARY_NAMES: Dict[Architecture, str] = {
    **{
        Architecture(depth): f'resnet{depth}'
        for depth in DEPTHS
    },
    Architecture(50, 128, 2): 'wide_resnet50_2',
    Architecture(101, 128, 2): 'wide_resnet101_2',
}
# detectron2's names by torchvision's, in the order of replacement.
_DETECTRON2 = (
    (r'^(conv1|bn1)\.', r'stem.\1.'),
    (r'^layer(\d)\.', lambda match: f'res{int(match[1]) + 1}.'),
    (r'\bbn(\d)\.', r'conv\1.norm.'),
    (r'\bdownsample\.0\.', r'shortcut.'),
    (r'\bdownsample\.1\.', r'shortcut.norm.'),
)
# The layers of torchvision's ResNet, in order.
_CHILDREN = ('conv1', 'bn1', 'relu', 'maxpool', 'layer1', 'layer2', 'layer3',
             'layer4')


def to_detectron2(weights: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """The same weights by detectron2's names, from torchvision's."""
    return {_detectron2_name(name): value for name, value in weights.items()}


def _detectron2_name(name: str) -> str:
    for pattern, new in _DETECTRON2:
        name = re.sub(pattern, new, name)
    return name


def from_detectron2(state: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """Counterpart of :func:`to_detectron2`; other names stay as they are."""
    names = {
        _detectron2_name(name): name
        for architecture in LIBRARY_NAMES
        for name in architecture.shapes()
    }
    return {names.get(name, name): value for name, value in state.items()}


def from_children(state: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """Weights of ``nn.Sequential(*resnet50().children())``, by torchvision's
    names."""
    numbers = {str(i): child for i, child in enumerate(_CHILDREN)}
    parts = {name: name.partition('.') for name in state}
    return {
        f'{numbers.get(head, head)}.{tail}': state[name]
        for name, (head, _, tail) in parts.items()
    }
