# Copyright (c) caco_ext authors. All rights reserved.
"""Find by its keys which program wrote a checkpoint, and its ResNets."""
import re
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional, Tuple

from torch import Tensor

from caco_ext.utils.checkpoints import CheckpointError
from .files import behind
from .resnet import from_children, from_detectron2


class Program(NamedTuple):
    """A kind of checkpoint.

    Attributes:
        name (str): Name for messages.
        marks (tuple[str, ...]): Patterns. A file is of this kind if each
            pattern matches one of its names: 'container/key' for a weight,
            'top:key' for a top-level entry, 'optimizer:N' for an optimizer of
            N parameters.
        query (str): Pattern for the place of the backbone to use, as
            'container/prefix'. Defaults to '': any, if there is only one.
        key (str): The same for the momentum encoder. Defaults to '': none.
        labels (bool | None): Whether it was trained with labels.
            Defaults to None: the names of its weights tell.
        method (str): One of the four methods, whose files ``identify`` reads,
            or 'maple' for the probe of three of them. Defaults to ''.
        alike (tuple[str, ...]): Methods whose files may have the same keys,
            so that the user must name the method. Defaults to none.
    """
    name: str
    marks: Tuple[str, ...]
    query: str = ''
    key: str = ''
    labels: Optional[bool] = None
    method: str = ''
    alike: Tuple[str, ...] = ()


# Prefixes that DDP and torch.compile add to names, at any depth.
WRAPPERS = re.compile(r'(?:^|(?<=\.))(?:module|_orig_mod)\.')
# Weights that only exist after training with labels, in the layouts of
# OpenMMLab, torchvision, detectron2 and others. Heads of MMSelfSup and DINO
# predict no labels.
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
# The linear layer right after a ResNet, in torchvision's layout.
_CLASSIFIER = (r'/conv1\.weight$', r'/fc(\.1)?\.weight$')

#: In the order in which they are tried: those with more marks come first.
PROGRAMS: Tuple[Program, ...] = (
    Program('of this package', (r'/key_encoder\._extra_state$', ), _BACKBONE,
            r'/key_encoder\.backbone\.$'),
    # the four originals
    Program('of CARE', (r'/student_encoder\.', ), method='care'),
    Program('of CaCo', (r'/encoder_q\.fc\.6\.weight$', ), method='caco'),
    Program('of AdCo', (r'/encoder_q\.', r'^Memory_Bank/W$'), method='adco'),
    # MoCo's program writes the same keys, but no best accuracy.
    Program(
        'of CLSA', (r'/encoder_q\.', r'/queue$', r'^top:best_acc$'),
        method='clsa'),
    Program(
        'of a linear probe of CARE', (r'^classifier/classifier\.', ),
        method='care'),
    # This one trains only the linear layer: weight and bias.
    Program(
        'of a linear probe of AdCo, CaCo, CLSA or MoCo',
        (*_CLASSIFIER, r'^optimizer:2$'),
        method='maple'),
    # Other programs that pre-train without labels.
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
    # Distillation with labels has both, too; the heads tell the difference.
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
    # With a dropout before it, the linear layer is fc.1.
    Program(
        'of SimCLR', (r'/backbone\.conv1\.', r'/backbone\.fc\.0\.weight$',
                      r'/backbone\.fc\.2\.weight$'),
        labels=False),
    # Programs that train with labels, and those that do both.
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
#: A file without any of the marks: the user must say where its backbone is.
UNKNOWN = Program('of no program known here', (), query='(?!)')


class Survey(NamedTuple):
    """Program, weights and ResNets of a checkpoint.

    Attributes:
        program (Program): The program that wrote it.
        weights (dict[str, Tensor]): Weights by 'container/key', without
            'module.' and '_orig_mod.'. Without a container it is ''.
        places (dict[str, str]): The stem of each ResNet by its place,
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
        """Evidence that a network was trained with labels.

        Args:
            place (str): Place of its backbone.

        Returns:
            str: The first names of such weights, or the program; empty
            without evidence.
        """
        if self.program.labels is False:
            return ''
        names = {name.partition('/')[2] for name in self.weights}
        names |= behind(self.weights, place).keys()
        first = sorted(name for name in names if _LABELLED.match(name))[:3]
        return ', '.join(first) or (self.program.name
                                    if self.program.labels else '')


def survey(content: Any, path: str) -> Survey:
    """Find program, weights and ResNets of a checkpoint.

    Args:
        content (Any): Content of the file.
        path (str): The file, for errors.

    Returns:
        Survey: What was found.

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
    """Places of ResNets, and the names of their stems."""
    for name in weights:
        for stem, other in _STEMS.items():
            place = name.removesuffix(stem)
            if (place != name and place[-1] in './'
                    and place + other in weights):
                yield place, stem


def _parameters(optimizer: Any) -> int:
    """Number of parameters in an optimizer's state; 0 if it is malformed."""
    groups = optimizer.get('param_groups') if isinstance(optimizer,
                                                         Mapping) else ()
    params = [
        group.get('params') for group in groups if isinstance(group, Mapping)
    ] if isinstance(groups, (list, tuple)) else []
    return sum(len(one) for one in params if isinstance(one, (list, tuple)))
