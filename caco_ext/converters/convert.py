# Copyright (c) caco_ext authors. All rights reserved.
"""Originals' checkpoints to this package's, with an account of each entry."""
from typing import Any, Dict, Optional, Tuple

import torch
from mmengine.config import Config
from torch import Tensor

from caco_ext.utils.checkpoints import reading
from .backbones import find_backbone
from .files import CheckpointError, read_checkpoint
from .key_maps import METHODS
from .official import Official, identify
from .report import Report, describe
from .survey import survey
from .writing import provenance

PARTS = ('full', 'backbone', 'backbone_k')
# What stands in an original's file, by the package's name of it.
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
        part (str): 'full' for what the package's algorithm loads and resumes
            from (of a linear probe: what the hosts' ``ImageClassifier``
            loads), 'backbone' for the query encoder's backbone, 'backbone_k'
            for the key encoder's. Defaults to 'full'.
        method (str): 'auto', or 'adco', 'caco', 'clsa', 'care'.
            Defaults to 'auto'.
        config (str, optional): Config to resume with, for schedules and
            momentum. Defaults to the method's preset.
        iters_per_epoch (int, optional): Of the run that resumes. Defaults to
            ImageNet's with the config's batch.
        prefix (str): In front of a backbone's keys. Defaults to 'backbone.'.
        trust (bool): See :func:`read_checkpoint`. Defaults to False.
        src_prefix (str): Of a part, where it stands in a file of another
            program; see :func:`.backbones.read_backbone`. Defaults to ''.

    Returns:
        tuple[dict, Report]: The content of the new checkpoint, and what
        became of the old one's entries.

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
        return _official(content, path, part, method, config, iters_per_epoch,
                         prefix)


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


def _official(content: Any, path: str, part: str, method: str,
              config: Optional[str], iters_per_epoch: Optional[int],
              prefix: str) -> Tuple[Dict[str, Any], Report]:
    """What is made of an original's file."""
    official = identify(content, path, method)
    report = Report(describe(official), dropped=list(official.dropped))
    report.dropped += official.idle.items()
    meta = provenance(
        path, {},
        method=official.method,
        kind='linear probe' if official.probe else 'pre-training',
        part=part,
        architecture=official.architecture.name,
        epoch=official.epoch,
        **{
            name: value
            for name, value in official.scalars.items()
            if name in ('arch', 'best_acc', 'best_acc1', 'knn_acc')
        })
    if part == 'full':
        content = _full(official, report, meta, config, iters_per_epoch)
    else:
        content = dict(
            meta=meta, state_dict=_backbone(official, report, part, prefix))
        if official.optimizer is not None:
            report.dropped.append(
                ('optimizer', 'a backbone does not train on from here'))
    for name in official.scalars:
        if name in meta or name == 'start_epoch':
            report.used.append((name, 'meta'))
        else:
            report.dropped.append((name, 'a number of the original program'))
    return content, report


def source_name(official: Official, name: str) -> str:
    """Name of a weight as it stands in the file."""
    return official.keys.get(name, name)


def _backbone(official: Official, report: Report, part: str,
              prefix: str) -> Dict[str, Tensor]:
    """The weights of one backbone; notes the rest as dropped."""
    wanted = 'backbone.' if part == 'backbone' else 'key_encoder.backbone.'
    if official.probe and part == 'backbone_k':
        raise CheckpointError('--part backbone_k: a linear probe has one '
                              'backbone, which --part backbone gives')
    state = {}
    for name, value in official.tensors().items():
        if name in official.idle:
            continue
        target = official.names[name]
        if target.startswith(wanted):
            target = prefix + target[len(wanted):]
            state[target] = value
            report.used.append((source_name(official, name), target))
        else:
            head = 'key_encoder' if target.startswith(
                'key_encoder.') else target.split('.')[0]
            report.dropped.append(
                (source_name(official, name),
                 f'{_PLACES[head]}, not asked for by --part {part}'))
    return state


def _full(official: Official, report: Report, meta: dict,
          config: Optional[str], given: Optional[int]) -> Dict[str, Any]:
    """All that the algorithm loads and that training goes on from."""
    tensors = official.tensors()
    state = {
        official.names[name]: value
        for name, value in tensors.items() if name not in official.idle
    }
    report.used += [(source_name(official, name), official.names[name])
                    for name in tensors if name not in official.idle]
    meta['original'] = dict(
        keys=list(official.keys.values()), scalars=official.scalars)
    if official.probe:
        if official.optimizer is not None:
            report.dropped.append(('optimizer', 'the probe is trained'))
        return dict(meta=meta, **_probe(state, report))
    # they import the registries, which `identify` alone does not need
    from .options import (apply_options, build_shapes, config_path,
                          model_options)
    from .resume import (MOMENTUM, check_learning_rate, epoch_and_length,
                         momenta, resume_entries)
    cfg = Config.fromfile(
        config or config_path(METHODS[official.method].config))
    options = model_options(official.method, state, official.architecture,
                            official.relative)
    if str(cfg.model.type).lower() != official.method:
        raise CheckpointError(f'--config: its model is {cfg.model.type}, the '
                              f'file is of {official.method}')
    settings, changes = apply_options(cfg.model, options)
    if changes:
        report.notes.append(
            f'{cfg.filename} has other sizes; train with it and '
            f'--cfg-options {" ".join(changes)}')
    try:
        model = build_shapes(settings)
    except (ValueError, AssertionError) as error:
        raise CheckpointError('the file is mixed up; no model has the sizes '
                              f'of all its parts: {error}') from error
    _add(state, report, official)
    state = _in_order(state, model)
    epoch, length = epoch_and_length(official, cfg, given, report.notes)
    buffer = MOMENTUM.get(cfg.optim_wrapper.optimizer.type)
    momentum = momenta(official, buffer, report.notes)
    if official.optimizer is not None:
        fate = (f'optimizer.state ({len(momentum)} momenta)'
                if momentum else None)
        (report.used if fate else report.dropped).append(
            ('optimizer', fate or 'see the note on momentum'))
        meta['original']['param_groups'] = official.optimizer.get(
            'param_groups', [])
    check_learning_rate(official, cfg, epoch, length, report.notes)
    if 'loss_scale' in cfg.optim_wrapper:
        report.notes.append('the loss scale of mixed precision, which the '
                            'original does not save, starts anew')
    meta.update(epoch=epoch, iter=epoch * length, model=options)
    return dict(
        meta=meta,
        state_dict=state,
        **resume_entries(cfg, model, epoch, length, momentum))


def _add(state: Dict[str, Tensor], report: Report, official: Official) -> None:
    """Add the state that the originals do not keep."""
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


def _in_order(state: Dict[str, Tensor], model) -> Dict[str, Tensor]:
    """Check that a model takes the state, and order it as the model does."""
    wanted = model.state_dict()
    problems = [f'{name} is missing' for name in wanted if name not in state]
    problems += [f'{name} is too much' for name in state if name not in wanted]
    problems += [
        f'{name} is {list(state[name].shape)}, the model has '
        f'{list(value.shape)}' for name, value in wanted.items()
        if name in state and state[name].shape != value.shape
    ]
    if problems:
        raise CheckpointError('the file is mixed up; sizes of its parts do '
                              f'not fit: {"; ".join(problems[:4])}')
    return {name: state[name] for name in wanted}


def _probe(state: Dict[str, Tensor], report: Report) -> Dict[str, Any]:
    """Weights for the hosts' ``ImageClassifier``.

    CARE's classifier has a batch norm behind its linear layer, which the
    hosts' has not: in evaluation both together are one linear layer.
    """
    norm = {
        name[len('head.bn.'):]: state.pop(name)
        for name in list(state) if name.startswith('head.bn.')
    }
    if not norm:
        return dict(state_dict=state)
    weight, bias = state['head.fc.weight'], state['head.fc.bias']
    scale = norm['weight'].double() / (norm['running_var'].double() +
                                       1e-5).sqrt()
    state['head.fc.weight'] = (weight.double() * scale[:, None]).to(weight)
    state['head.fc.bias'] = (
        (bias.double() - norm['running_mean'].double()) * scale +
        norm['bias'].double()).to(bias)
    report.used = [(old, 'head.fc, folded into one linear layer'
                    if new.startswith('head.') else new)
                   for old, new in report.used]
    report.notes.append("the classifier's batch norm is folded into its "
                        'linear layer; unfolded_head has them apart')
    unfolded = {'head.fc.weight': weight, 'head.fc.bias': bias}
    unfolded.update({f'head.bn.{name}': v for name, v in norm.items()})
    return dict(state_dict=state, unfolded_head=unfolded)
