# Copyright (c) caco_ext authors. All rights reserved.
"""Checkpoints as other programs write them, of a ResNet-18 an eighth wide."""
from argparse import Namespace

import torch

from caco_ext.converters import Architecture
from caco_ext.converters.resnet import to_detectron2
from tests.helpers import original_checkpoints as originals

SMALL = Architecture(18, 8, None, 8)
BARE = originals.fill.state_dict(SMALL.shapes())
FC = {'fc.weight': torch.ones(10, 64), 'fc.bias': torch.ones(10)}
MLP = {
    'fc.0.weight': torch.ones(64, 64),
    'fc.0.bias': torch.ones(64),
    'fc.2.weight': torch.ones(16, 64),
    'fc.2.bias': torch.ones(16)
}
CHILDREN = dict(conv1='0', bn1='1', layer1='4', layer2='5', layer3='6')


def behind(prefix, *states, change=1.):
    """Weights behind a prefix; a momentum encoder's are changed."""
    return {
        f'{prefix}{name}': value * change if 'conv' in name else value
        for state in states
        for name, value in state.items()
    }


def children(prefix):
    """As nn.Sequential numbers them."""
    names = (name.partition('.') for name in BARE)
    return {
        f'{prefix}{CHILDREN.get(head, 7)}.{tail}': BARE[f'{head}.{tail}']
        for head, _, tail in names
    }


def optimizer(count):
    """Of so many parameters."""
    return dict(state={}, param_groups=[dict(params=list(range(count)))])


def moco(*encoders, mlp=MLP, queue=True):
    """MoCo's, or with other heads the like."""
    state = {}
    for name, change in zip(encoders, (1., 2.)):
        state.update(behind(f'module.{name}.', BARE, mlp, change=change))
    if queue:
        state['module.queue'] = torch.ones(16, 32)
        state['module.queue_ptr'] = torch.zeros(1, dtype=torch.long)
    return dict(epoch=200, arch='resnet18', state_dict=state)


LIGHTNING = {'pytorch-lightning_version': '2.1', 'epoch': 1}
HEAD = {'projector.0.weight': torch.ones(4, 4)}

# Content by name, with what it is called, what its key encoder's backbone
# differs by (0: it has none), and whether it was trained with labels.
FILES = {
    'torchvision': ({
        **BARE,
        **FC
    }, 'of a classifier', 0, True),
    'torchvision_training': (dict(
        model={
            **BARE,
            **FC
        },
        optimizer=optimizer(62),
        epoch=3,
        args=Namespace(lr=.1)), "of torchvision's training", 0, True),
    'timm_training': (dict(
        state_dict={
            **BARE,
            **FC
        },
        arch='resnet18',
        epoch=3,
        version=2,
        metric=1.), 'of timm', 0, True),
    'pytorch_example': (dict(
        state_dict=behind('module.', BARE, FC),
        arch='resnet18',
        epoch=3,
        best_acc1=60.,
        optimizer=optimizer(62)), "of PyTorch's ImageNet example", 0, True),
    'undecided':
    (dict(state_dict=behind('module.', BARE, FC), arch='resnet18',
          epoch=3), 'nothing in it tells which', 0, True),
    'mmpretrain':
    (dict(state_dict=behind('backbone.', BARE) | behind('head.', FC),
          meta={}), 'OpenMMLab', 0, True),
    'lightning': (LIGHTNING | dict(state_dict=behind('model.', BARE, FC)),
                  'of PyTorch Lightning', 0, True),
    'last_linear': ({
        **BARE, 'last_linear.weight': torch.ones(10, 64)
    }, 'of a ResNet alone', 0, True),
    'dropout': (dict(
        state_dict=behind('backbone.', BARE, {'fc.1.weight': FC['fc.weight']}),
        meta={}), 'OpenMMLab', 0, True),
    'detectron2': (dict(
        model=to_detectron2(BARE) | behind('stem.', FC),
        __author__='torchvision'), 'of detectron2', 0, True),
    'contrast_with_labels': (dict(model=behind('backbone.', BARE) | HEAD | FC),
                             'of Barlow Twins', 0, True),
    'sequential':
    (LIGHTNING
     | dict(state_dict=children('backbone.') | behind('classifier.', FC)),
     'of PyTorch Lightning', 0, True),
    'dino_teacher': (dict(
        teacher=behind('backbone.', BARE)
        | {
            'head.mlp.0.weight': torch.ones(4, 4),
            'head.last_layer.weight_v': torch.ones(4, 4)
        }), 'of DINO', 0, False),
    'probe': (dict(
        state_dict=behind('module.', BARE, FC),
        arch='resnet18',
        epoch=3,
        best_acc1=60.,
        optimizer=optimizer(2)), 'linear probe', 0, False),
    'data_parallel': (behind('module.', BARE), 'of a ResNet alone', 0, False),
    'compiled': (behind('_orig_mod.module.',
                        BARE), 'of a ResNet alone', 0, False),
    'moco_v1': (moco('encoder_q', 'encoder_k',
                     mlp=FC), 'of MoCo v1', 2, False),
    'moco_v2': (moco('encoder_q', 'encoder_k'), 'of MoCo v2', 2, False),
    'moco_v2_release': (moco('encoder_q',
                             queue=False), 'as released', 0, False),
    'moco_v3': (moco('base_encoder', 'momentum_encoder',
                     queue=False), 'of MoCo v3', 2, False),
    'swav': (behind('module.', BARE,
                    {'projection_head.0.weight': torch.ones(4, 4)}), 'of SwAV',
             0, False),
    'simsiam': (dict(
        state_dict=behind('module.encoder.', BARE, MLP)
        | {'module.predictor.0.weight': torch.ones(4, 4)}), 'of SimSiam', 0,
                False),
    'byol':
    (behind('online_encoder.net.', BARE)
     | behind('target_encoder.net.', BARE, change=2.), 'of BYOL', 2, False),
    'barlow_twins': (dict(
        model=behind('module.backbone.', BARE) | behind('module.', HEAD),
        optimizer=optimizer(70)), 'of Barlow Twins', 0, False),
    'simclr': (dict(state_dict=behind('backbone.', BARE, MLP)), 'of SimCLR', 0,
               False),
    'solo_learn': (LIGHTNING | dict(
        state_dict=behind('backbone.', BARE)
        | behind('momentum_backbone.', BARE, change=2.)
        | HEAD | {'classifier.weight': torch.ones(4, 4)}), 'of solo-learn', 2,
                   False),
    'lightly': (LIGHTNING | dict(
        state_dict=children('backbone.')
        | {'projection_head.layers.0.weight': torch.ones(4, 4)}), 'of lightly',
                0, False),
    'mmselfsup': (dict(
        meta=dict(epoch=2),
        state_dict=behind('backbone.', BARE)
        | behind('encoder_k.module.0.', BARE, change=2.)
        | {'head.predictor.fc.weight': torch.ones(4, 4)}), 'OpenMMLab', 2,
                  False),
}
