# Copyright (c) caco_ext authors. All rights reserved.
"""Names in the originals' checkpoints and in this package's, as tables.

A row has a layer's name on both sides and its kind. The kind tells which
entries the layer has. The rows make complete dictionaries of names, so every
entry of a file is either known or reported as unknown.
"""
import re
from typing import Dict, Iterable, List, NamedTuple, Sequence, Tuple

from .resnet import Architecture

#: Top-level entry with AdCo's and CaCo's memory.
BANK = 'Memory_Bank'

_NORM = ('weight', 'bias', 'running_mean', 'running_var',
         'num_batches_tracked')
# The entries of a layer, by its kind.
_ENTRIES: Dict[str, Tuple[str, ...]] = dict(
    linear=('weight', 'bias'), matrix=('weight', ), norm=_NORM, tensor=())
# Entries that are not parameters of an optimizer.
_BUFFERS = ('running_mean', 'running_var', 'num_batches_tracked', 'queue',
            'queue_ptr', 'W', 'v')

Rows = Sequence[Tuple[str, str, str]]

_MOCO_HEAD: Rows = (
    ('fc.0', 'neck.mlp.0', 'linear'),
    ('fc.2', 'neck.mlp.2', 'linear'),
)
_CACO_HEAD: Rows = (
    ('fc.0', 'neck.fc0', 'matrix'),
    ('fc.1', 'neck.bn0', 'norm'),
    ('fc.3', 'neck.fc1', 'matrix'),
    ('fc.4', 'neck.bn1', 'norm'),
    ('fc.6', 'neck.fc2', 'matrix'),
)
_CARE_PROJECTORS: Rows = (
    ('fc1.0', 'neck.fc0', 'linear'),
    ('fc1.1', 'neck.bn0', 'norm'),
    ('fc1.3', 'neck.fc1', 'linear'),
    ('fc2.0', 'attention_neck.fc0', 'linear'),
    ('fc2.1', 'attention_neck.bn0', 'norm'),
    ('fc2.3', 'attention_neck.fc1', 'linear'),
)
_CARE_PREDICTORS: Rows = (
    ('fc1.4', 'predictor.fc0', 'linear'),
    ('fc1.5', 'predictor.bn0', 'norm'),
    ('fc1.7', 'predictor.fc1', 'linear'),
    ('fc2.4', 'attention_predictor.fc0', 'linear'),
    ('fc2.5', 'attention_predictor.bn0', 'norm'),
    ('fc2.7', 'attention_predictor.fc1', 'linear'),
)
# CARE's attention stack, block by block; only the first has a shortcut.
_STACK_FIRST: Rows = (
    ('net.{b}.shortcut.0', 'blocks.{b}.shortcut.conv', 'matrix'),
    ('net.{b}.shortcut.1', 'blocks.{b}.shortcut.bn', 'norm'),
)
_STACK: Rows = (
    ('net.{b}.net.0', 'blocks.{b}.reduce.conv', 'matrix'),
    ('net.{b}.net.1', 'blocks.{b}.reduce.bn', 'norm'),
    ('net.{b}.net.3.to_qkv', 'blocks.{b}.attention.to_qkv', 'matrix'),
    ('net.{b}.net.3.pos_emb.{rel}height',
     'blocks.{b}.attention.position.height', 'tensor'),
    ('net.{b}.net.3.pos_emb.{rel}width', 'blocks.{b}.attention.position.width',
     'tensor'),
    ('net.{b}.net.5', 'blocks.{b}.bn', 'norm'),
    ('net.{b}.net.7', 'blocks.{b}.expand.conv', 'matrix'),
    ('net.{b}.net.8', 'blocks.{b}.expand.bn', 'norm'),
)


class Method(NamedTuple):
    """How one original lays out its pre-training checkpoint.

    Attributes:
        config (str): Config in ``configs/selfsup`` for the default mode.
        shared (Rows): Layers after the backbone that both encoders have.
        student (Rows): Layers that only the query encoder has.
        memory (dict[str, str]): Entries outside both encoders.
        stack (bool): Whether there is an attention stack.
        container (str): Top-level entry with the weights.
        epoch (str): Top-level entry with the number of epochs trained.
        query (str): Prefix of the query encoder (student).
        key (str): Prefix of the key encoder (teacher).
    """
    config: str
    shared: Rows
    student: Rows = ()
    memory: Dict[str, str] = {
        f'{BANK}.W': 'memory.columns',
        f'{BANK}.v': 'memory.velocity'
    }
    stack: bool = False
    container: str = 'state_dict'
    epoch: str = 'epoch'
    query: str = 'encoder_q.'
    key: str = 'encoder_k.'


METHODS: Dict[str, Method] = dict(
    adco=Method('adco/adco_resnet50_8xb32-asym-coslr-200e_in1k.py',
                _MOCO_HEAD),
    caco=Method('caco/caco_resnet50_8xb128-sym-coslr-200e_in1k.py',
                _CACO_HEAD),
    clsa=Method(
        'clsa/clsa_resnet50_8xb32-single-coslr-200e_in1k.py',
        _MOCO_HEAD,
        memory=dict(queue='memory.columns', queue_ptr='memory.pointer')),
    care=Method('care/care_resnet50_8xb128-2view-coslr-100e_in1k.py',
                _CARE_PROJECTORS, _CARE_PREDICTORS, {}, True, 'model',
                'start_epoch', 'student_encoder.', 'teacher_encoder.'),
)


class Probe(NamedTuple):
    """How the originals lay out the checkpoint of a linear probe.

    Attributes:
        container (str): Top-level entry with the weights.
        epoch (str): Top-level entry with the number of epochs trained.
        backbone (str): Prefix of the backbone.
        heads (tuple[Rows]): Alternatives of the classifier's layers.
    """
    container: str
    epoch: str
    backbone: str
    heads: Tuple[Rows, ...]


PROBES: Dict[str, Probe] = dict(
    # The layer is fc.1 if the probe was trained with dropout.
    maple=Probe('state_dict', 'epoch', '',
                ((('fc', 'head.fc', 'linear'), ),
                 (('fc.1', 'head.fc', 'linear'), ))),
    care=Probe('classifier', 'start_epoch', 'encoder.',
               ((('classifier.0', 'head.fc', 'linear'),
                 ('classifier.1', 'head.bn', 'norm')), )),
)


def strip_key(key: str) -> str:
    """Translate a key of a file to the name in the tables.

    Args:
        key (str): The key. It may begin with DDP's 'module.'. Older
            checkpoints of CARE call the attention stack 'bot'.

    Returns:
        str: The name in the tables.
    """
    return re.sub(r'^((student|teacher)_encoder\.)bot\.', r'\1trans.',
                  re.sub(r'^module\.', '', key))


def parameter_names(method: str, names: Iterable[str],
                    count: int) -> List[str]:
    """Names of the parameters of an original's optimizer, in its order.

    torch numbers parameters in the order in which the model registers them,
    which is the order of the weights in the file.

    Args:
        method (str): A key of :data:`METHODS`.
        names (Iterable[str]): Names of all weights in the file.
        count (int): Number of the optimizer's parameters.

    Returns:
        list[str]: Names in both encoders if ``count`` says so, or else only
        in the query encoder.
    """
    names = [n for n in names if n.rsplit('.', 1)[-1] not in _BUFFERS]
    if len(names) != count:
        query = METHODS[method].query
        names = [name for name in names if name.startswith(query)]
    return names


def _entry_names(rows: Rows, **fields: object) -> Dict[str, str]:
    """Names of all entries of some layers; ``fields`` replace ``{...}``."""
    names = {}
    for old, new, kind in rows:
        old, new = old.format(**fields), new.format(**fields)
        if kind == 'tensor':
            names[old] = new
        for entry in _ENTRIES[kind]:
            names[f'{old}.{entry}'] = f'{new}.{entry}'
    return names


def _with_prefix(names: Dict[str, str], old: str, new: str) -> Dict[str, str]:
    """Put a prefix in front of the names on each side."""
    return {old + key: new + value for key, value in names.items()}


def stack_names(num_blocks: int, relative: bool = False) -> Dict[str, str]:
    """Names in CARE's attention stack.

    Args:
        num_blocks (int): Blocks of the stack.
        relative (bool): Whether its positions are relative.
            Defaults to False.

    Returns:
        dict[str, str]: The package's name by the original's, both without
        the prefix of the stack itself.
    """
    names = {}
    for b in range(num_blocks):
        rows = (*_STACK_FIRST, *_STACK) if b == 0 else _STACK
        names.update(_entry_names(rows, b=b, rel='rel_' if relative else ''))
    return names


def method_names(method: str,
                 architecture: Architecture,
                 num_blocks: int = 0,
                 relative: bool = False) -> Dict[str, str]:
    """Names of all entries of an original's pre-training checkpoint.

    Args:
        method (str): A key of :data:`METHODS`.
        architecture (Architecture): Architecture of the backbone.
        num_blocks (int): Blocks of the attention stack. Defaults to 0.
        relative (bool): See :func:`stack_names`. Defaults to False.

    Returns:
        dict[str, str]: The package's name by the original's. Names of the
        bank begin with :data:`BANK`.
    """
    layout = METHODS[method]
    shared = _backbone_names(architecture)
    if layout.stack:
        shared.update(
            _with_prefix(
                stack_names(num_blocks, relative), 'trans.', 'attention.'))
    shared.update(_entry_names(layout.shared))
    student = {**shared, **_entry_names(layout.student)}
    return {
        **_with_prefix(student, layout.query, ''),
        **_with_prefix(shared, layout.key, 'key_encoder.'),
        **layout.memory
    }


def probe_names(method: str, architecture: Architecture,
                keys: Iterable[str]) -> Dict[str, str]:
    """Names of all entries of an original's linear probe.

    Args:
        method (str): A key of :data:`PROBES`.
        architecture (Architecture): Architecture of the backbone.
        keys (Iterable[str]): Keys of the file, which show its classifier.

    Returns:
        dict[str, str]: The package's name by the original's.
    """
    layout, keys = PROBES[method], set(keys)
    heads = [_entry_names(rows) for rows in layout.heads]
    head = next((head for head in heads if set(head) <= keys), heads[0])
    return {
        **_with_prefix(_backbone_names(architecture), layout.backbone, ''),
        **head
    }


def _backbone_names(architecture: Architecture) -> Dict[str, str]:
    return {name: f'backbone.{name}' for name in architecture.shapes()}
