# Copyright (c) caco_ext authors. All rights reserved.
"""How each kind of reference file is fed to the classes of the package."""
import re
from typing import List

import torch
from mmengine.registry import MODELS
from parity_reference import Reference
from parity_schedules import (adco_schedules, caco_schedules, care_schedules,
                              lars)
from torch import Tensor, nn
from torch.nn import functional as F

import caco_ext  # noqa: F401  (registers everything)
from caco_ext.converters import stack_names
from caco_ext.datasets.transforms.strong_ops import apply_op
from caco_ext.evaluation.knn import knn_predict
from caco_ext.models.algorithms import CARE, CLSA, AdCo, CaCo
from caco_ext.models.utils import Schedule


def _leaves(tensors: List[Tensor]) -> List[Tensor]:
    return [one.requires_grad_() for one in tensors]


def _bank(ref: Reference, algorithm, head: nn.Module, query_views: tuple,
          key_views: tuple, **options) -> None:
    """Two steps of a head and a learnable bank."""
    columns = ref.tensor('W0')
    memory = MODELS.build(
        dict(
            type='LearnableBank',
            dim=columns.size(0),
            num_columns=columns.size(1),
            temperature=ref.hyper['mem_t'],
            lr=ref.hyper['memory_lr'],
            **options))
    memory.columns.copy_(columns)
    memory.velocity.copy_(ref.tensor('v0'))
    pairs = algorithm.make_pairs(query_views, key_views)
    for step in ('s0', 's1'):
        queries = _leaves(ref.numbered(f'{step}_q'))
        keys = ref.numbered(f'{step}_k')
        if f'{step}_label' in ref:
            labels = [memory.nearest(key) for key in keys]
            ref.compare(f'{step}_label',
                        torch.stack([labels[pair.key] for pair in pairs]))
        with torch.no_grad():
            ref.compare(
                f'{step}_ce',
                -head.log_probabilities(queries, keys, pairs, memory).mean(1))
        head(queries, keys, pairs, memory)['loss'].backward()
        memory.step()
        for i, query in enumerate(queries):
            ref.compare(f'{step}_dq{i}', query.grad)
        ref.compare(f'{step}_W', memory.columns)
        ref.compare(f'{step}_v', memory.velocity)


def adco(ref: Reference) -> None:
    queries = len(ref.numbered('s0_q'))
    if ref.hyper['multi_crop']:
        views = tuple(range(1, queries + 1)), (0, )
    elif ref.hyper['sym']:
        views = (0, 1), (0, 1)
    else:
        views = (0, ), (1, )
    head = MODELS.build(dict(type='AdCoHead', temperature=ref.hyper['moco_t']))
    _bank(
        ref,
        AdCo,
        head,
        *views,
        momentum=ref.hyper['momentum'],
        weight_decay=ref.hyper['mem_wd'])


def caco(ref: Reference) -> None:
    head = MODELS.build(dict(type='CaCoHead', temperature=ref.hyper['moco_t']))
    views = tuple(range(len(ref.numbered('s0_q'))))
    _bank(ref, CaCo, head, views, (0, 1), momentum=ref.hyper['mem_momentum'])


def clsa(ref: Reference) -> None:
    hyper = ref.hyper
    head = MODELS.build(
        dict(
            type='CLSAHead',
            temperature=hyper['T'],
            alpha=1.,
            matching=dict(
                type='DistributionMatchingHead', temperature=hyper['clsa_t'])))
    queue = ref.tensor('queue0')
    memory = MODELS.build(
        dict(
            type='FeatureQueue', dim=queue.size(0), num_columns=queue.size(1)))
    memory.columns.copy_(queue)
    for step in ('s0', 's1'):
        weak = _leaves(ref.numbered(f'{step}_weak'))
        strong = _leaves(ref.numbered(f'{step}_strong'))
        pairs = CLSA.make_pairs(range(1, len(weak) + 1), (0, ))
        losses = head([F.normalize(one, dim=1) for one in weak],
                      [F.normalize(ref.tensor(f'{step}_k'), dim=1)], pairs,
                      memory, [F.normalize(one, dim=1) for one in strong])
        (losses['loss_contrast'] +
         hyper['alpha'] * losses['loss_matching']).backward()
        memory.step()
        ref.compare(f'{step}_contrastive', losses['loss_contrast'])
        ref.compare(f'{step}_ddm', losses['loss_matching'])
        for kind, leaves in (('weak', weak), ('strong', strong)):
            for i, leaf in enumerate(leaves):
                ref.compare(f'{step}_d{kind}{i}', leaf.grad)
        ref.compare(f'{step}_queue', memory.columns)
        ref.compare(f'{step}_ptr', memory.pointer)


def care_loss(ref: Reference) -> None:
    hyper = ref.hyper
    head = MODELS.build(
        dict(type='CAREHead', consistency_weight=hyper['lambda_fea']))
    names = [('q1', 'att_q1'), ('q2', 'att_q2')]
    queries = [_leaves([ref.tensor(n) for n in view]) for view in names]
    # k1 is the teacher's output for the second view, k2 for the first.
    keys = [[ref.tensor(n) for n in view]
            for view in (('k2', 'att_k2'), ('k1', 'att_k1'))]
    losses = head(queries, keys, CARE.make_pairs((0, 1), (0, 1)))
    fea = losses['loss_consistency'] + losses['teacher_consistency']
    total = losses['loss_cnn'] + losses['loss_attention'] + fea
    total.backward()
    ref.compare('con', losses['loss_cnn'])
    ref.compare('con2', losses['loss_attention'])
    ref.compare('fea', fea)
    ref.compare('loss', total)
    for view, leaves in zip(names, queries):
        for name, leaf in zip(view, leaves):
            ref.compare(f'd{name}', leaf.grad)
    schedule = Schedule(hyper['base_momentum'], 1., by_epoch=False)
    ref.compare('momentum', [
        schedule.at(int(i), hyper['total_iters'])
        for i in ref.tensor('momentum_iters')
    ])


def care_stack(ref: Reference) -> None:
    hyper = ref.hyper
    if hyper['proj_factor'] != 4 or not hyper['downsample']:
        raise ValueError('proj_factor must be 4 and downsample true')
    stack = MODELS.build(
        dict(
            type='AttentionStack',
            in_channels=hyper['dim'],
            out_channels=hyper['dim_out'],
            img_size=hyper['fmap_size'],
            stride=1,
            num_blocks=hyper['num_layers'],
            num_heads=hyper['heads'],
            head_channels=hyper['dim_head'],
            position='relative' if hyper['rel_pos_emb'] else 'absolute'))
    names = stack_names(hyper['num_layers'], hyper['rel_pos_emb'])
    weights = {
        names[name[3:]]: ref.tensor(name)
        for name in ref.arrays if name.startswith('sd/')
    }
    stack.load_state_dict(weights)
    # In double precision only the original's rounding counts, and no
    # activation near zero ends on the other side of its ReLU.
    stack.double()
    x = ref.tensor('x').double().requires_grad_()
    out = stack.train()(x)
    (out * ref.tensor('cotangent')).sum().backward()
    ref.compare('y_train', out)
    ref.compare('dx', x.grad)
    for name, values in (('grad', {
            name: p.grad
            for name, p in stack.named_parameters()
    }), ('after', stack.state_dict())):
        for key in ref.arrays:
            if key.startswith(f'{name}/'):
                ref.compare(key, values[names[key[len(name) + 1:]]])
    with torch.no_grad():
        ref.compare('y_eval', stack.eval()(x))


def knn(ref: Reference) -> None:
    for name in list(ref.arrays):
        match = re.fullmatch(r'pred_k(\d+)_t([\d.]+)', name)
        if match:
            ref.compare(
                name,
                knn_predict(
                    ref.tensor('bank'), ref.tensor('labels'),
                    ref.tensor('query'), int(match[1]), float(match[2]),
                    ref.hyper['classes']))


def strong_ops(ref: Reference) -> None:
    image = ref.tensor('image').numpy()
    for name in list(ref.arrays):
        match = re.fullmatch(r'(\w+)_v(\d+)_(pos|neg)', name)
        if match:
            ref.compare(
                name,
                apply_op(match[1], image, int(match[2]),
                         match[3] == 'neg').copy())


KINDS = dict(
    adco_asym=adco,
    adco_sym=adco,
    adco_multicrop=adco,
    caco_sym=caco,
    caco_multicrop=caco,
    clsa_single=clsa,
    clsa_multi=clsa,
    care_loss=care_loss,
    care_stack=care_stack,
    lars=lars,
    adco_schedules=adco_schedules,
    caco_schedules=caco_schedules,
    care_schedules=care_schedules,
    knn=knn,
    strong_ops=strong_ops)
