# Copyright (c) caco_ext authors. All rights reserved.
"""Which program's a checkpoint is, by its keys, and where its ResNets are."""
import re
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional, Tuple

from torch import Tensor

from caco_ext.utils.checkpoints import CheckpointError
from .files import behind
from .resnet import from_children, from_detectron2


class Program(NamedTuple):
    """A kind of checkpoint.

    Attributes:
        name (str): For people.
        marks (tuple[str, ...]): Patterns. A file is of the kind when each is
            found in one of its names: 'container/key' for a weight, 'top:key'
            for a top-level entry, 'optimizer:N' for the number of parameters
            that its optimizer has.
        query (str): Pattern of the place of the backbone that counts, as
            'container/prefix'. Defaults to '': any, where it is the only one.
        key (str): The same of the momentum encoder's. Defaults to '': none.
        labels (bool | None): Whether it was trained with labels.
            Defaults to None: the names of its weights tell.
        method (str): Of the four methods, whose files ``identify`` takes
            apart; 'maple' for the probe of three of them. Defaults to ''.
        alike (tuple[str, ...]): Methods whose files may have these keys too,
            so that the user says when one is. Defaults to none.
    """
    name: str
    marks: Tuple[str, ...]
    query: str = ''
    key: str = ''
    labels: Optional[bool] = None
    method: str = ''
    alike: Tuple[str, ...] = ()


# What DDP and torch.compile put in front of names, at any depth.
WRAPPERS = re.compile(r'(?:^|(?<=\.))(?:module|_orig_mod)\.')
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

_MOCO = (r'/encoder_q\.$', r'/encoder_k\.$', False)
_BACKBONE = r'/backbone\.$'
_LIGHTNING = r'^top:pytorch-lightning_version$'
# The linear layer right behind a ResNet, in the layout of torchvision.
_CLASSIFIER = (r'/conv1\.weight$', r'/fc(\.1)?\.weight$')

#: In the order in which they are tried: who has more marks comes first.
PROGRAMS: Tuple[Program, ...] = (
    Program('of this package', (r'/key_encoder\._extra_state$', ), _BACKBONE,
            r'/key_encoder\.backbone\.$'),
    # the four originals
    Program('of CARE', (r'/student_encoder\.', ), method='care'),
    Program('of CaCo', (r'/encoder_q\.fc\.6\.weight$', ), method='caco'),
    Program('of AdCo', (r'/encoder_q\.', r'^Memory_Bank/W$'), method='adco'),
    # MoCo's program writes the same keys, and no best accuracy
    Program(
        'of CLSA', (r'/encoder_q\.', r'/queue$', r'^top:best_acc$'),
        method='clsa'),
    Program(
        'of a linear probe of CARE', (r'^classifier/classifier\.', ),
        method='care'),
    # it trains the linear layer alone: weight and bias
    Program(
        'of a linear probe of AdCo, CaCo, CLSA or MoCo',
        (*_CLASSIFIER, r'^optimizer:2$'),
        method='maple'),
    # other programs that pre-train without labels
    Program(
        'of MoCo v2', (r'/encoder_q\.fc\.2\.weight$', r'/queue$'),
        *_MOCO,
        alike=('clsa', )),
    Program(
        'of MoCo v2, AdCo or CLSA, without a queue or a bank',
        (r'/encoder_q\.fc\.2\.weight$', r'/encoder_k\.'),
        *_MOCO,
        alike=('adco', 'clsa')),
    Program('of MoCo v2, as released, without a key encoder',
            (r'/encoder_q\.fc\.2\.weight$', ), *_MOCO),
    Program('of MoCo v1', (r'/encoder_q\.fc\.weight$', ), *_MOCO),
    Program('of MoCo v3', (r'/base_encoder\.', ), r'/base_encoder\.$',
            r'/momentum_encoder\.$', False),
    # distillation with labels has both, too: the heads tell
    Program('of DINO', (r'^student/', r'^teacher/')),
    Program('of DINO, one network of two', (r'/head\.last_layer\.', )),
    Program(
        'of SwAV', (r'/conv1\.weight$', r'/projection_head\.'), labels=False),
    Program(
        'of SimSiam', (r'/encoder\.conv1\.weight$', r'/encoder\.fc\.\d\.',
                       r'/predictor\.\d\.'),
        labels=False),
    Program('of BYOL', (r'online.*conv1\.weight$', r'target.*conv1\.weight$'),
            r'online', r'target', False),
    Program('of solo-learn', (_LIGHTNING, r'/backbone\.', r'/projector\.'),
            _BACKBONE, r'/momentum_backbone\.$', False),
    Program('of lightly', (_LIGHTNING, r'/backbone\.', r'/projection_head'),
            _BACKBONE, r'/backbone_momentum\.$', False),
    Program('of Barlow Twins or VICReg', (r'/backbone\.', r'/projector\.')),
    # a dropout and a linear layer are fc.1
    Program(
        'of SimCLR', (r'/backbone\.conv1\.', r'/backbone\.fc\.0\.weight$',
                      r'/backbone\.fc\.2\.weight$'),
        labels=False),
    # programs that train with labels, and those that do either
    Program('of PyTorch Lightning', (_LIGHTNING, )),
    Program(
        'of timm', (*_CLASSIFIER, r'^top:arch$', r'^top:version$'),
        labels=True),
    Program(
        "of torchvision's training",
        (r'^model/conv1\.weight$', r'^model/fc\.weight$'),
        labels=True),
    Program(
        "of PyTorch's ImageNet example",
        (*_CLASSIFIER, r'^top:arch$', r'^optimizer:([3-9]|\d\d)'),
        labels=True),
    Program(
        'of a classifier, or of a linear probe, and nothing in it tells '
        'which', (*_CLASSIFIER, r'^top:(arch|best_acc1|epoch)$'),
        alike=('adco', 'caco', 'clsa')),
    Program('of a classifier, as of torchvision and timm', _CLASSIFIER),
    Program('of detectron2', (r'/(backbone\.)?(bottom_up\.)?stem\.conv1\.', )),
    Program('in the layout of OpenMMLab', (r'/(backbone|key_encoder)\.', ),
            _BACKBONE,
            r'/(key_encoder\.backbone|(encoder_k|target_net)(\.0)?)\.$'),
    Program('of a ResNet alone', (r'/conv1\.weight$', ), r'/$'),
)
#: What has none of the marks: the user says where its backbone is.
UNKNOWN = Program('of no program known here', (), query='(?!)')


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

    def backbone(self, place: str) -> Dict[str, Tensor]:
        """The weights at a place, by torchvision's names."""
        rename = {
            '0.weight': from_children,
            'stem.conv1.weight': from_detectron2
        }.get(self.places.get(place, ''), dict)
        return rename(behind(self.weights, place))

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
        names |= behind(self.weights, place).keys()
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
                yield f'{container}/{WRAPPERS.sub("", name)}', value
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
    """How many parameters an optimizer's state is of; 0 where it is odd."""
    groups = optimizer.get('param_groups') if isinstance(optimizer,
                                                         Mapping) else ()
    params = [
        group.get('params') for group in groups if isinstance(group, Mapping)
    ] if isinstance(groups, (list, tuple)) else []
    return sum(len(one) for one in params if isinstance(one, (list, tuple)))
