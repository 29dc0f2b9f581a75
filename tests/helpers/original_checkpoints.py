# Copyright (c) caco_ext authors. All rights reserved.
"""Checkpoints as the originals' programs write them, large and small."""
import importlib.util
import json
import os.path as osp

import torch
from torchvision.models import resnet

DATA = osp.join(osp.dirname(osp.dirname(osp.abspath(__file__))), 'data')
FOLDER = osp.join(DATA, 'checkpoints')
METHODS = ('adco', 'caco', 'clsa', 'care')

_spec = importlib.util.spec_from_file_location('fill',
                                               osp.join(FOLDER, 'fill.py'))
fill = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fill)


def manifest(method, scale=1):
    """Manifest of an original's file, widths divided by ``scale``."""
    with open(osp.join(FOLDER, f'{method}_resnet50.json')) as file:
        content = json.load(file)
    for entries in content['tensors'].values():
        for name, shape in entries.items():
            entries[name] = [n // scale if n >= 16 else n for n in shape]
    return content


def write(path, content):
    """Write a manifest's checkpoint; returns its content."""
    checkpoint = dict(content['scalars'])
    for name, entries in content['tensors'].items():
        checkpoint[name] = fill.state_dict(entries)
    torch.save(checkpoint, path)
    return checkpoint


def small(path, method, **changes):
    """An eighth of a ResNet-50 in each direction, and all the rest."""
    checkpoint = write(path, manifest(method, 8))
    if changes:
        checkpoint.update(changes)
        torch.save(checkpoint, path)
    return checkpoint


def flat(checkpoint):
    """All tensors of a checkpoint by 'container/name'."""
    return {
        f'{name}/{key}': value
        for name, entries in checkpoint.items() if isinstance(entries, dict)
        for key, value in entries.items() if isinstance(value, torch.Tensor)
    }


def network(depth, width=64):
    """torchvision's ResNet, filled; ``width`` 128 makes it CARE's 2x."""
    block, layers = {
        18: (resnet.BasicBlock, [2, 2, 2, 2]),
        34: (resnet.BasicBlock, [3, 4, 6, 3]),
        50: (resnet.Bottleneck, [3, 4, 6, 3]),
        101: (resnet.Bottleneck, [3, 4, 23, 3]),
        152: (resnet.Bottleneck, [3, 8, 36, 3])
    }[depth]
    net = resnet.ResNet(block, layers, width_per_group=width)
    net.load_state_dict(
        fill.state_dict({
            k: v.shape
            for k, v in net.state_dict().items()
        }))
    return net.eval()


def adco_of(net, columns=64):
    """AdCo's checkpoint whose encoders have this torchvision network."""
    state, width = {}, net.fc.in_features
    for encoder in ('encoder_q', 'encoder_k'):
        for name, value in net.state_dict().items():
            if not name.startswith('fc.'):
                state[f'module.{encoder}.{name}'] = value.clone()
        state.update(
            fill.state_dict({
                f'module.{encoder}.fc.0.weight': (width, width),
                f'module.{encoder}.fc.0.bias': (width, ),
                f'module.{encoder}.fc.2.weight': (16, width),
                f'module.{encoder}.fc.2.bias': (16, )
            }))
    bank = fill.state_dict({'W': (16, columns), 'v': (16, columns)})
    return dict(epoch=3, arch='resnet', state_dict=state, Memory_Bank=bank)


def probe(method, classes=10):
    """Checkpoint of a linear probe, and its network without a head."""
    net = network(18, 64)
    body = {
        name: value
        for name, value in net.state_dict().items()
        if not name.startswith('fc.')
    }
    if method == 'care':
        shapes = {
            'module.classifier.0.weight': (classes, 512),
            'module.classifier.0.bias': (classes, )
        }
        for leaf in ('weight', 'bias', 'running_mean', 'running_var'):
            shapes[f'module.classifier.1.{leaf}'] = (classes, )
        shapes['module.classifier.1.num_batches_tracked'] = ()
        state = {f'module.encoder.{k}': v for k, v in body.items()}
        state.update(fill.state_dict(shapes))
        return dict(
            start_epoch=80, classifier=state, best_top1=72.0,
            optimizer={}), net
    state = {f'module.{k}': v for k, v in body.items()}
    state.update(
        fill.state_dict({
            'module.fc.weight': (classes, 512),
            'module.fc.bias': (classes, )
        }))
    return dict(
        epoch=100,
        arch='resnet18',
        state_dict=state,
        best_acc1=60.,
        # of the linear layer alone
        optimizer=dict(state={}, param_groups=[dict(params=[0, 1])])), net
