# Copyright (c) caco_ext authors. All rights reserved.
"""What a checkpoint of any program holds, and where its ResNets are."""
import re
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Tuple

from torch import Tensor

from .files import CheckpointError
from .library_names import from_children, from_detectron2
from .programs import PROGRAMS, UNKNOWN, Program

# What DDP and torch.compile put in front of names, at any depth.
_WRAPPERS = re.compile(r'(?:^|(?<=\.))(?:module|_orig_mod)\.')
# Weights that only training with labels makes, in OpenMMLab's layout and in
# those of torchvision, detectron2 and others. The heads of MMSelfSup and DINO
# predict no label.
_LABELLED = re.compile(r'((cls_|rpn_|roi_|bbox_|mask_|decode_|auxiliary_)?'
                       r'heads?\.(?!predictor\.|prototypes|projector\.|'
                       r'mlp|last_layer)|proposal_generator\.|(stem\.)?fc\.|'
                       r'(classifier|clf|(last_)?linear|logits|output)\.)')
# First convolution of a ResNet and a weight that only such a network has:
# torchvision's names, detectron2's, those of torchvision's children.
_STEMS = {
    'conv1.weight': 'layer1.0.conv1.weight',
    'stem.conv1.weight': 'res2.0.conv1.weight',
    '0.weight': '4.0.conv1.weight'
}


class Survey(NamedTuple):
    """A checkpoint, taken apart.

    Attributes:
        program (Program): Which program's it is.
        weights (dict[str, Tensor]): By 'container/key', without 'module.'
            and '_orig_mod.'; the container is '' where there is none.
        places (dict[str, str]): The stem of each ResNet by its place, as
            'container/prefix'.
        path (str): The file, for errors.
    """
    program: Program
    weights: Dict[str, Tensor]
    places: Dict[str, str]
    path: str

    def find(self, part: str, prefix: str = '') -> str:
        """The place of a backbone.

        Args:
            part (str): 'backbone', or 'backbone_k' for the key encoder's.
            prefix (str): What its keys begin with, where the user says so;
                with or without the container. Defaults to ''.

        Returns:
            str: As in :attr:`places`.

        Raises:
            CheckpointError: There is none, or more than one.
        """
        own = self.program.query if part == 'backbone' else self.program.key
        if prefix:
            # as the error below shows it, or what begins so
            found = [p for p in self.places if show(p) == repr(prefix)
                     ] or [p for p in self.places if _begins(p, prefix)]
        elif part == 'backbone' or own:
            found = [p for p in self.places if re.search(own, p)]
            # without a stem, whose absence is to be named later
            found = found or self._behind(own)
        else:
            found = []
        if len(found) == 1:
            return found[0]
        what = f'{self.path!r}, {self.program.name}, has '
        if found:
            what += f'{len(found)} ResNets that may be meant'
        elif prefix:
            what += f'no ResNet behind {prefix!r}'
        elif part == 'backbone_k':
            what += 'no key encoder with a ResNet'
        else:
            heads = sorted(
                {n.partition('/')[2].split('.')[0]
                 for n in self.weights})
            what += ("no key that begins with 'backbone.', only "
                     f'{", ".join(heads[:8]) or "others"}')
        have = ', '.join(map(show, found or self.places))
        raise CheckpointError(
            f'{what}; say which one with --src-prefix (in Python: prefix): '
            f'{have}' if have else what)

    def _behind(self, pattern: str) -> List[str]:
        """Places that have weights, and no stem of a ResNet among them."""
        if not pattern.endswith('$'):
            return []
        matches = (
            re.match(f'[^/]*{pattern[:-1]}', name) for name in self.weights)
        return sorted({match[0] for match in matches if match})

    def backbone(self, place: str) -> Dict[str, Tensor]:
        """The weights at a place, by torchvision's names."""
        weights = {
            name[len(place):]: value
            for name, value in self.weights.items() if name.startswith(place)
        }
        rename = {
            '0.weight': from_children,
            'stem.conv1.weight': from_detectron2
        }.get(self.places.get(place, ''))
        return rename(weights) if rename else weights

    def labelled(self, place: str) -> str:
        """What shows that a network was trained with labels.

        Args:
            place (str): Its backbone's.

        Returns:
            str: The first names of such weights, or the program; empty
            where there is nothing.
        """
        if self.program.labels is False:
            return ''
        names = {name.partition('/')[2] for name in self.weights}
        names.update(name[len(place):] for name in self.weights
                     if name.startswith(place))
        names = sorted(name for name in names if _LABELLED.match(name))
        return ', '.join(
            names[:3]) or (self.program.name if self.program.labels else '')


def survey(content: Any, path: str) -> Survey:
    """Take a checkpoint apart.

    Args:
        content (Any): What the file holds.
        path (str): The file, for errors.

    Returns:
        Survey: All about it.

    Raises:
        CheckpointError: It is no dict, or an empty one.
    """
    if not isinstance(content, Mapping) or not content:
        what = 'an empty dict' if content == {} else (
            f'a {type(content).__name__}')
        raise CheckpointError(f'{path!r} holds {what}, not a checkpoint')
    weights = dict(_weights(content))
    names = [*weights, *(f'top:{name}' for name in content)]
    names.append(f'optimizer:{_parameters(content.get("optimizer"))}')
    program = next((p for p in PROGRAMS if all(
        any(re.search(mark, name) for name in names) for mark in p.marks)),
                   UNKNOWN)
    return Survey(program, weights, dict(_places(weights)), path)


def show(place: str) -> str:
    """A place as the user may say it."""
    container, _, prefix = place.partition('/')
    if not container or prefix and container in ('state_dict', 'model'):
        return repr(prefix)
    return repr(f'{container}.{prefix}')


def _begins(place: str, prefix: str) -> bool:
    """Whether a place is one that the user means."""
    wanted = _WRAPPERS.sub('', prefix.rstrip('.') + '.')
    prefix = place.partition('/')[2]
    whole = place.replace('/', '.').lstrip('.')
    return prefix.startswith(wanted) or whole.startswith(wanted)


def _weights(content: Mapping) -> Iterator[Tuple[str, Tensor]]:
    """All tensors of nested dicts, by 'container/key'."""
    seen, waiting = set(), [('', content)]
    while waiting:
        container, entries = waiting.pop(0)
        seen.add(id(entries))
        for name, value in entries.items():
            if not isinstance(name, str):
                continue
            if isinstance(value, Tensor):
                yield f'{container}/{_WRAPPERS.sub("", name)}', value
            elif isinstance(value, Mapping) and id(value) not in seen:
                waiting.append((f'{container}.{name}'.lstrip('.'), value))


def _places(weights: Mapping[str, Tensor]) -> Iterator[Tuple[str, str]]:
    """Where ResNets stand, and the name of their stem."""
    for name in weights:
        for stem, other in _STEMS.items():
            place = name.removesuffix(stem)
            if (place != name and place[-1] in './'
                    and place + other in weights):
                yield place, stem


def _parameters(optimizer: Any) -> int:
    """How many parameters an optimizer's state is of."""
    groups = optimizer.get('param_groups') if isinstance(optimizer,
                                                         Mapping) else None
    params = [
        group.get('params') for group in groups or () if hasattr(group, 'get')
    ] if isinstance(groups, (list, tuple)) else []
    return sum(len(one) for one in params if isinstance(one, (list, tuple)))
