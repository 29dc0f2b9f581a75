# Copyright (c) caco_ext authors. All rights reserved.
"""How reference files of optimizers and schedules are fed to the package."""
import re
from typing import List

import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from parity_reference import Reference
from torch import nn

import caco_ext  # noqa: F401  (registers everything)
from caco_ext.models.utils import Schedule


def lars(ref: Reference) -> None:
    hyper = dict(ref.hyper)
    params = [
        nn.Parameter(value) for value in (ref.tensor(name)
                                          for name in sorted(ref.arrays)
                                          if re.fullmatch(r'p\d+_0', name))
    ]
    net = nn.Module()
    for i, param in enumerate(params):
        net.register_parameter(f'p{i}', param)
    wrapper = build_optim_wrapper(
        net, dict(optimizer=dict(type='CaCoLARS', **hyper)))
    step = 0
    while f'g0_{step}' in ref:
        for i, param in enumerate(params):
            param.grad = ref.tensor(f'g{i}_{step}')
        wrapper.step()
        step += 1
        for i, param in enumerate(params):
            ref.compare(f'p{i}_{step}', param)


def _learning_rates(schedulers: List[dict], lr: float, steps: int) -> list:
    """Learning rate before each step of mmengine's schedulers."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr)
    built = [
        PARAM_SCHEDULERS.build(dict(optimizer=optimizer, **cfg))
        for cfg in schedulers
    ]
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in built:
            scheduler.step()
    return rates


def adco_schedules(ref: Reference) -> None:
    hyper = ref.hyper
    epochs, lr = hyper['epochs'], hyper['lr']
    if hyper['cos'] != 1:
        raise ValueError(f'cos={hyper["cos"]}: only the presets\' cosine to a '
                         'floor is part of the package')
    ref.compare(
        'lr',
        _learning_rates([
            dict(
                type='CosineAnnealingLR',
                T_max=epochs,
                eta_min=hyper['lr_final'],
                end=epochs)
        ], lr, epochs))


def caco_schedules(ref: Reference) -> None:
    hyper = ref.hyper
    epochs, warm = hyper['epochs'], hyper['warmup_epochs']
    lr = hyper['lr'] * hyper['batch_size'] / 256
    schedulers = [
        dict(
            type='CosineAnnealingLR',
            T_max=epochs - warm,
            eta_min=lr * hyper['lr_final'] / hyper['lr'],
            begin=warm,
            end=epochs)
    ]
    if warm:
        schedulers.insert(
            0, dict(type='LinearLR', start_factor=1 / warm, end=warm))
    ref.compare('lr', _learning_rates(schedulers, lr, epochs))
    momentum = Schedule(hyper['moco_m'], 1.)
    ref.compare('momentum', [momentum.at(e, epochs) for e in range(epochs)])
    if 'memory_lr' in ref:
        bank = Schedule(hyper['memory_lr'], hyper['memory_lr_final'], warm)
        ref.compare('memory_lr', [bank.at(e, epochs) for e in range(epochs)])


def care_schedules(ref: Reference) -> None:
    hyper = ref.hyper
    warm, epochs = hyper['warmup_epochs'], hyper['total_epochs']
    length = hyper['iters_per_epoch']
    options = dict(convert_to_iter_based=True, epoch_length=length)
    rates = _learning_rates([
        dict(
            type='InclusiveLinearLR',
            start_factor=1e-6 / hyper['lr'],
            end=warm,
            **options),
        dict(
            type='CosineAnnealingLR',
            T_max=epochs - warm,
            eta_min=0,
            begin=warm,
            end=epochs,
            **options)
    ], hyper['lr'], epochs * length + 1)
    ref.compare('lr', [rates[int(i)] for i in ref.tensor('iters')])
