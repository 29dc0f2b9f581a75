# Copyright (c) caco_ext authors. All rights reserved.
"""Convert the originals' checkpoints, with a report on each entry."""
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

import torch
from mmengine.config import Config
from torch import Tensor

from caco_ext.utils.checkpoints import (CheckpointError, read_checkpoint,
                                        reading)
from caco_ext.utils.config_files import config_path
from caco_ext.utils.weights import describe_differences
from .backbones import find_backbone
from .files import provenance
from .key_maps import METHODS
from .official import Official, identify
from .programs import survey

PARTS = ('full', 'backbone', 'backbone_k')
# Modules in an original's file, by the package's names.
_PLACES = dict(
    backbone="query encoder's backbone",
    neck='projector',
    predictor='predictor',
    attention='attention stream',
    attention_neck="attention stream's projector",
    attention_predictor="attention stream's predictor",
    key_encoder='key encoder',
    memory='memory',
    head='classifier')


@dataclass
class Report:
    """What became of each entry of a file.

    Attributes:
        title (str): What the file is, in one line.
        used (list[tuple[str, str]]): Name in the file, name in the result.
        dropped (list[tuple[str, str]]): Name in the file, reason.
        added (list[tuple[str, str]]): Name in the result, source of its
            value.
        notes (list[str]): Remarks for the user.
    """
    title: str = ''
    used: List[Tuple[str, str]] = field(default_factory=list)
    dropped: List[Tuple[str, str]] = field(default_factory=list)
    added: List[Tuple[str, str]] = field(default_factory=list)
    notes: List[str] = field(default_factory=list)

    def text(self) -> str:
        """A summary for people; entries of one module share a line."""
        lines = [self.title, f'used: {len(self.used)} entries']
        groups: Dict[Tuple[str, str], List[str]] = {}
        for name, reason in self.dropped:
            # Group entries by encoder, and by module in it.
            head = '.'.join(name.removeprefix('module.').split('.')[:2])
            head = head.split('.layer')[0]
            groups.setdefault((head, reason), []).append(name)
        for (head, reason), names in groups.items():
            what = names[0] if len(
                names) == 1 else f'{head}* ({len(names)} entries)'
            lines.append(f'dropped: {what}: {reason}')
        lines += [f'added: {name}: {why}' for name, why in self.added]
        return '\n'.join([*lines, *(f'note: {note}' for note in self.notes)])


def convert(path: str,
            part: str = 'full',
            method: str = 'auto',
            config: Optional[str] = None,
            iters_per_epoch: Optional[int] = None,
            prefix: str = 'backbone.',
            trust: bool = False,
            src_prefix: str = '') -> Tuple[Dict[str, Any], Report]:
    """Convert a checkpoint of an original's program, or the backbone of any.

    Args:
        path (str): The file.
        part (str): 'full' for a checkpoint that this package's algorithm can
            resume (for a linear probe, one that the hosts'
            ``ImageClassifier`` can load), 'backbone' for the query encoder's
            backbone, 'backbone_k' for the key encoder's. Defaults to 'full'.
        method (str): 'auto', or 'adco', 'caco', 'clsa', 'care'.
            Defaults to 'auto'.
        config (str, optional): Config to resume with, for schedules and
            momentum. Defaults to the method's preset.
        iters_per_epoch (int, optional): Iterations per epoch of the resumed
            run. Defaults to ImageNet's with the config's batch size.
        prefix (str): Prefix of a backbone's new keys.
            Defaults to 'backbone.'.
        trust (bool): See :func:`read_checkpoint`. Defaults to False.
        src_prefix (str): ``prefix`` of :func:`.backbones.read_backbone`, for
            files of other programs. Defaults to ''.

    Returns:
        tuple[dict, Report]: The content of the new checkpoint, and a report
        on the old entries.

    Raises:
        CheckpointError: The file is not what it should be.
    """
    if part not in PARTS:
        raise CheckpointError(f'--part {part}: choose one of '
                              f'{", ".join(PARTS)}')
    content = read_checkpoint(path, trust)
    with reading(path):
        if part != 'full' and method == 'auto' and (
                src_prefix or not survey(content, path).program.method):
            return _foreign(content, path, part, prefix, src_prefix)
        official = identify(content, path, method)
        return _official(official, path, part, config, iters_per_epoch, prefix)


def _foreign(content: Any, path: str, part: str, prefix: str,
             src_prefix: str) -> Tuple[Dict[str, Any], Report]:
    """The backbone of another program's file."""
    backbone = find_backbone(content, path, part, src_prefix)
    meta = provenance(
        path, backbone.meta, architecture=backbone.architecture.name)
    report = Report(
        f'{backbone.source}, {backbone.architecture.name}',
        used=[(name, prefix + name) for name in backbone.weights],
        dropped=[('the rest', f'not asked for by --part {part}')])
    if 'supervised' in meta:
        report.notes.append(
            f'trained with labels, by {meta["supervised"]}: benchmarks take '
            'it as a supervised baseline alone')
    state = {prefix + name: v for name, v in backbone.weights.items()}
    return dict(meta=meta, state_dict=state), report


def _official(official: Official, path: str, part: str, config: Optional[str],
              iters_per_epoch: Optional[int],
              prefix: str) -> Tuple[Dict[str, Any], Report]:
    """Convert an original's file."""
    report = Report(
        official.describe(),
        dropped=[*official.dropped, *official.idle.items()])
    scalars = ('arch', 'best_acc', 'best_acc1', 'knn_acc')
    meta = provenance(
        path, {},
        method=official.method,
        kind='linear probe' if official.probe else 'pre-training',
        part=part,
        architecture=official.architecture.name,
        epoch=official.epoch,
        **{
            n: v
            for n, v in official.scalars.items() if n in scalars
        })
    result = dict(meta=meta)
    tensors = {
        name: value
        for name, value in official.state.items() if name not in official.idle
    }
    if part != 'full':
        result['state_dict'] = _backbone(official, tensors, report, part,
                                         prefix)
    else:
        result['state_dict'] = {official.names[n]: tensors[n] for n in tensors}
        report.used += [(official.keys.get(n, n), official.names[n])
                        for n in tensors]
        meta['original'] = dict(
            keys=list(official.keys.values()), scalars=official.scalars)
        if official.probe:
            _fold_probe(result, report)
        else:
            _resumable(result, official, report, config, iters_per_epoch)
    if official.optimizer is not None and (part != 'full' or official.probe):
        reason = ('the probe is trained' if part == 'full' else
                  'a backbone does not train on from here')
        report.dropped.append(('optimizer', reason))
    for name in official.scalars:
        if name in meta or name == 'start_epoch':
            report.used.append((name, 'meta'))
        else:
            report.dropped.append((name, 'a number of the original program'))
    return result, report


def _backbone(official: Official, tensors: Dict[str, Tensor], report: Report,
              part: str, prefix: str) -> Dict[str, Tensor]:
    """The weights of one backbone; reports the rest as dropped."""
    wanted = 'backbone.' if part == 'backbone' else 'key_encoder.backbone.'
    if official.probe and part == 'backbone_k':
        raise CheckpointError('--part backbone_k: a linear probe has one '
                              'backbone, which --part backbone gives')
    state = {}
    for name, value in tensors.items():
        source, target = official.keys.get(name, name), official.names[name]
        if target.startswith(wanted):
            target = prefix + target[len(wanted):]
            state[target] = value
            report.used.append((source, target))
        else:
            place = _PLACES[target.split('.')[0]]
            report.dropped.append(
                (source, f'{place}, not asked for by --part {part}'))
    return state


def _resumable(result: Dict[str, Any], official: Official, report: Report,
               config: Optional[str], given: Optional[int]) -> None:
    """Add everything that a resumed training needs."""
    # Imports the registries, which `identify` alone does not need.
    from . import resume
    state, meta = result['state_dict'], result['meta']
    cfg = Config.fromfile(
        config or config_path(METHODS[official.method].config))
    options = resume.model_options(official, state)
    if str(cfg.model.type).lower() != official.method:
        raise CheckpointError(f'--config: its model is {cfg.model.type}, the '
                              f'file is of {official.method}')
    settings, changes = resume.apply_options(cfg.model, options)
    if changes:
        report.notes.append(
            f'{cfg.filename} has other sizes; train with it and '
            f'--cfg-options {" ".join(changes)}')
    try:
        model = resume.build_shapes(settings)
    except (ValueError, AssertionError) as error:
        raise CheckpointError('the file is mixed up; no model has the sizes '
                              f'of all its parts: {error}') from error
    _add(state, report, official)
    wanted = model.state_dict()
    problem = describe_differences(wanted, state)
    if problem:
        raise CheckpointError('the file is mixed up; sizes of its parts do '
                              f'not fit: {problem}')
    result['state_dict'] = {name: state[name] for name in wanted}
    if official.epoch is None:
        report.notes.append(
            'the file does not tell how many epochs it was trained; a '
            'resumed run counts from 0')
    epoch = official.epoch or 0
    length = resume.iterations_of_epoch(cfg, given)
    momentum = resume.read_momentum(official, cfg, report.notes)
    if momentum:
        report.used.append(
            ('optimizer', f'optimizer.state ({len(momentum)} momenta)'))
    elif official.optimizer is not None:
        report.dropped.append(('optimizer', 'see the note on momentum'))
    if official.optimizer is not None:
        meta['original']['param_groups'] = official.optimizer.get(
            'param_groups', [])
    resume.compare_learning_rate(official, cfg, epoch, length, report.notes)
    if 'loss_scale' in cfg.optim_wrapper:
        report.notes.append('the loss scale of mixed precision, which the '
                            'original does not save, starts anew')
    meta.update(epoch=epoch, iter=epoch * length, model=options)
    result.update(resume.resume_entries(cfg, model, epoch, length, momentum))


def _add(state: Dict[str, Tensor], report: Report, official: Official) -> None:
    """Add the state that the originals do not save."""
    state['key_encoder._extra_state'] = torch.tensor(official.epoch != 0)
    report.added.append(
        ('key_encoder._extra_state', 'the query encoder has moved since the '
         'last averaging, which is due in the next step'))
    if 'memory.velocity' in state:
        count = state['memory.columns'].size(1)
        state['memory.filled'] = torch.tensor(count)
        state['memory.positives'] = torch.zeros(count, dtype=torch.int32)
        report.added += [
            ('memory.filled', 'the originals fill before their first epoch'),
            ('memory.positives', 'a count of the present epoch, 0')
        ]


def _fold_probe(result: Dict[str, Any], report: Report) -> None:
    """Convert a linear probe's weights to the hosts' ``ImageClassifier``.

    CARE's classifier has a batch norm after its linear layer, which the
    hosts' lacks. In evaluation both together are one linear layer.
    """
    state, cut = result['state_dict'], len('head.bn.')
    norm = {n: state.pop(n) for n in list(state) if n.startswith('head.bn.')}
    if not norm:
        return
    weight, bias = state['head.fc.weight'], state['head.fc.bias']
    result['unfolded_head'] = {
        'head.fc.weight': weight,
        'head.fc.bias': bias,
        **norm
    }
    norm = {name[cut:]: value.double() for name, value in norm.items()}
    scale = norm['weight'] / (norm['running_var'] + 1e-5).sqrt()
    state['head.fc.weight'] = (weight.double() * scale[:, None]).to(weight)
    state['head.fc.bias'] = ((bias.double() - norm['running_mean']) * scale +
                             norm['bias']).to(bias)
    report.used = [(old, 'head.fc, folded into one linear layer'
                    if new.startswith('head.') else new)
                   for old, new in report.used]
    report.notes.append("the classifier's batch norm is folded into its "
                        'linear layer; unfolded_head has them apart')
