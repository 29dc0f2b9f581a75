# Copyright (c) caco_ext authors. All rights reserved.
"""Other sizes, linear probes, damaged and mixed-up files."""
import math

import pytest
import torch
from mmengine.registry import MODELS

from caco_ext.converters import (Architecture, CheckpointError, convert,
                                 detect, to_official)
from tests.helpers import original_checkpoints as originals

SIZES = [
    (18, 64, Architecture(18)),
    (34, 64, Architecture(34)),
    (50, 128, Architecture(50, 128, 2)),  # CARE's 2x
    (101, 16, Architecture(101, 16, 16)),
    (152, 8, Architecture(152, 8, 32)),
]


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize('depth, width, wanted', SIZES)
def test_depth_and_width(tmp_path, depth, width, wanted):
    net = originals.network(depth, width)
    path = str(tmp_path / 'a.pth.tar')
    torch.save(originals.adco_of(net), path)
    result, report = convert(path, 'backbone', prefix='')
    assert detect(result['state_dict'], 'it') == wanted
    assert result['meta']['architecture'] == wanted.name
    backbone = MODELS.build(wanted.options())
    backbone.load_state_dict(result['state_dict'], strict=True)
    backbone.eval()
    net.fc = torch.nn.Identity()
    images = originals.fill.images(2, 64)
    ours = backbone(images)[-1].mean((2, 3))
    theirs = net(images)
    assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()


@pytest.mark.slow
def test_shapes_are_torchvisions():
    for depth, width, architecture in SIZES:
        net = originals.network(depth, width)
        wanted = {
            name: tuple(value.shape)
            for name, value in net.state_dict().items()
            if not name.startswith('fc.')
        }
        assert architecture.shapes() == wanted
        assert list(architecture.shapes()) == list(wanted)


@pytest.mark.parametrize('method', originals.METHODS)
def test_full_of_another_size(tmp_path, method):
    path = str(tmp_path / 'a.pth.tar')
    content = originals.small(path, method)
    result, report = convert(path, 'full')
    note = next(note for note in report.notes if 'other sizes' in note)
    assert 'model.backbone.base_channels=8' in note
    model = dict(result['meta']['model'])
    assert model['backbone.depth'] == 50
    if method == 'care':
        assert model['attention.head_channels'] == 16
        assert model['attention.num_heads'] == 4
        assert model['attention.map'] == (14, 14)
    else:
        assert model['memory.num_columns'] == 8192
    back, _ = to_official(result, path)
    for name, value in originals.flat(content).items():
        assert torch.equal(originals.flat(back)[name], value), name


def test_without_module_and_old_name_of_the_stack(tmp_path):
    path = str(tmp_path / 'a.pth.tar')
    content = originals.small(path, 'care')
    plain, _ = convert(path)
    content['model'] = {
        name[len('module.'):].replace('.trans.', '.bot.'): value
        for name, value in content['model'].items()
    }
    torch.save(content, path)
    result, report = convert(path)
    assert list(result['state_dict']) == list(plain['state_dict'])
    for name, value in plain['state_dict'].items():
        assert torch.equal(result['state_dict'][name], value)
    back, _ = to_official(result, path)
    assert list(back['model']) == list(content['model'])


@torch.no_grad()
@pytest.mark.parametrize('method', ['care', 'maple'])
def test_linear_probe(tmp_path, method):
    content, net = originals.probe(method)
    path = str(tmp_path / 'a.pth.tar')
    torch.save(content, path)
    result, report = convert(path)
    assert ('optimizer', 'the probe is trained') in report.dropped
    model = MODELS.build(
        dict(
            type='mmcls.ImageClassifier',
            backbone=dict(type='mmcls.ResNet', depth=18),
            neck=dict(type='mmcls.GlobalAveragePooling'),
            head=dict(
                type='mmcls.LinearClsHead',
                num_classes=10,
                in_channels=512,
                loss=dict(type='mmcls.CrossEntropyLoss'))))
    model.load_state_dict(result['state_dict'], strict=True)
    model.eval()
    images = originals.fill.images(2, 64)
    net.fc = torch.nn.Identity()
    state = content.get('classifier') or content['state_dict']
    part = 'classifier.0' if method == 'care' else 'fc'
    logits = torch.nn.functional.linear(
        net(images), state[f'module.{part}.weight'],
        state[f'module.{part}.bias'])
    if method == 'care':
        head = torch.nn.BatchNorm1d(10).eval()
        head.load_state_dict({
            name.rsplit('.', 1)[-1]: value
            for name, value in state.items() if '.classifier.1.' in name
        })
        logits = head(logits)
    ours = model(images, mode='tensor')
    ours = model.head.fc(ours[0]) if ours[0].ndim == 2 else ours
    assert (ours - logits).abs().max() < 1e-4 * logits.abs().max()
    back, _ = to_official(result, path)
    for name, value in originals.flat(content).items():
        assert torch.equal(originals.flat(back)[name], value), name
    with pytest.raises(CheckpointError, match='has one backbone'):
        convert(path, 'backbone_k')


def test_probe_of_care_may_hold_the_other_stream(tmp_path):
    content, _ = originals.probe('care')
    content['classifier']['module.encoder.trans.x'] = torch.ones(1)
    path = str(tmp_path / 'a.pth.tar')
    torch.save(content, path)
    _, report = convert(path, 'backbone')
    assert ('encoder.trans.x',
            'not used by the linear probe') in (report.dropped)


def broken(method, change):
    """A small file of ``method``, changed."""

    def make(path):
        content = originals.small(path, method)
        change(content)
        torch.save(content, path)

    return make


def _cut_encoder(content):
    state = content['state_dict']
    for name in list(state):
        if '.layer4.2.' in name and 'encoder_k' in name:
            del state[name]


def _swap_bank(content):
    content['Memory_Bank'] = originals.fill.state_dict(
        dict(W=(64, 32), v=(64, 32)))


def _both(content):
    content['state_dict']['module.queue'] = torch.ones(16, 8)


def _other_key(content):
    content['state_dict']['module.encoder_q.extra.weight'] = torch.ones(2)


def _half_module(content):
    state = content['state_dict']
    name = next(iter(state))
    state[name[len('module.'):]] = state.pop(name)


@pytest.mark.parametrize('make, message', [
    (broken('adco', _cut_encoder), r'encoder_k is no ResNet.*\(3, 4, 6, 2\)'),
    (broken('caco', _swap_bank), 'mixed up; no model has.*memory.dim=64'),
    (broken('adco', _both), 'mixed up: it has the marks of clsa and adco'),
    (broken('clsa', _other_key), 'unknown: encoder_q.extra.weight'),
    (broken('clsa', _half_module), "do not$|'module.', others, as"),
    (broken('adco', lambda c: c.pop('Memory_Bank')), 'give --method'),
    (broken('caco', lambda c: c.pop('Memory_Bank')),
     'missing: Memory_Bank.W, Memory_Bank.v'),
    (broken('care', lambda c: c.update(state_dict=c['model'])),
     'weights under state_dict and model'),
    (broken('adco', lambda c: c.update(epoch=-3)), 'epoch=-3'),
    (broken('adco', lambda c: c.update(state_dict={})), 'empty, no weights'),
    (lambda path: torch.save([1, 2], path), 'holds a list, not'),
    (lambda path: torch.save({}, path), 'holds an empty dict'),
    (lambda path: torch.save(dict(state_dict=dict(a=torch.ones(1))), path),
     'no known method: its weights are a dict with a, 1 in all'),
])
def test_not_what_it_should_be(tmp_path, make, message):
    path = str(tmp_path / 'a.pth.tar')
    make(path)
    with pytest.raises(CheckpointError, match=message):
        convert(path)


def test_method_by_the_user(tmp_path):
    path = str(tmp_path / 'a.pth.tar')
    originals.small(path, 'adco')
    with pytest.raises(CheckpointError, match='--method care.* is of adco'):
        convert(path, method='care')
    assert convert(path, method='adco')[0]['meta']['method'] == 'adco'
    with pytest.raises(CheckpointError, match='its model is CaCo'):
        from caco_ext.utils.config_files import config_path
        convert(
            path,
            config=config_path(
                'caco/caco_resnet50_8xb128-sym-coslr-200e_in1k.py'))


def _optimizer(content, key, query_only):
    """A file's optimizer: the momentum of parameter i is i everywhere."""
    container = 'model' if 'model' in content else 'state_dict'
    names = [
        name for name in content[container]
        if name.rsplit('.', 1)[-1] not in ('running_mean', 'running_var',
                                           'num_batches_tracked', 'queue',
                                           'queue_ptr')
    ]
    own = [n for n in names if '.encoder_q.' in n or '.student_' in n]
    state = {
        names.index(name): {
            key:
            torch.full_like(content[container][name], float(names.index(name)))
        }
        for name in own
    }
    count = len(own) if query_only else len(names)
    return dict(
        state=state,
        param_groups=[dict(lr=0.5, params=list(range(count)))]), own, names


@pytest.mark.parametrize('method, key, query_only', [
    ('adco', 'momentum_buffer', False),
    ('caco', 'mu', False),
    ('clsa', 'momentum_buffer', False),
    ('care', 'momentum_buffer', True),
])
def test_momentum_and_schedule(tmp_path, method, key, query_only):
    path = str(tmp_path / 'a.pth.tar')
    content = originals.small(path, method)
    optimizer, own, names = _optimizer(content, key, query_only)
    epoch = dict(care='start_epoch').get(method, 'epoch')
    # of the epoch that ended, as the original sets it
    turn = math.pi * 19 / 200
    optimizer['param_groups'][0]['lr'] = dict(
        adco=0.0006 + 0.5 * (1 + math.cos(turn)) * 0.0294,
        clsa=0.5 * (1 + math.cos(turn)) * 0.03,
        caco=0.012 + 0.5 * (1 + math.cos(math.pi * 9 / 190)) * 1.188,
        care=0.03)[method]
    content.update({'optimizer': optimizer, epoch: 20})
    torch.save(content, path)
    result, report = convert(path)
    assert ('optimizer',
            f'optimizer.state ({len(own)} momenta)') in (report.used)
    # the momentum of each parameter belongs to that parameter
    from mmengine.config import Config

    from caco_ext.converters import METHODS
    from caco_ext.converters.resume import apply_options, build_shapes
    from caco_ext.utils.config_files import config_path
    cfg = Config.fromfile(config_path(METHODS[method].config))
    model = build_shapes(apply_options(cfg.model, result['meta']['model'])[0])
    params = dict(model.named_parameters())
    sources = {new: old for old, new in report.used}
    state = result['optimizer']['state']
    seen = 0
    for index, (name, param) in enumerate(params.items()):
        if index in state:
            value = state[index][key]
            assert value.shape == param.shape
            assert float(value.flatten()[0]) == names.index(sources[name])
            seen += 1
    assert seen == len(own) == len(state)
    assert result['optimizer']['param_groups'][0]['params'] == list(
        range(len(params)))

    # learning rate of the epoch to come, from the formulas
    length = dict(adco=5004, clsa=5004, caco=1251, care=1251)[method]
    assert result['meta']['iter'] == 20 * length
    rate = result['optimizer']['param_groups'][0]['lr']
    wanted = dict(
        adco=0.0006 + 0.5 * (1 + math.cos(math.pi * 0.1)) * 0.0294,
        clsa=0.5 * (1 + math.cos(math.pi * 0.1)) * 0.03,
        caco=0.012 + 0.5 * (1 + math.cos(math.pi * 10 / 190)) * 1.188,
        care=0.2 * 0.5 * (1 + math.cos(math.pi * 10 / 90)))[method]
    assert rate == pytest.approx(wanted, rel=1e-9)
    steps = 20 * length if method == 'care' else 20
    assert [one['_global_step'] for one in result['param_schedulers']
            ] == [steps] * len(result['param_schedulers'])
    differ = any('the file ended with lr' in note for note in report.notes)
    assert differ == (method == 'care')  # 0.03 and not 0.19

    back, _ = to_official(result, path)
    assert back['optimizer']['param_groups'] == optimizer['param_groups']
    assert set(back['optimizer']['state']) == set(optimizer['state'])
    for index, entry in optimizer['state'].items():
        assert torch.equal(back['optimizer']['state'][index][key], entry[key])


def test_optimizer_that_cannot_be_used(tmp_path):
    path = str(tmp_path / 'a.pth.tar')
    content = originals.small(path, 'adco')
    for optimizer, reason in (
        ({}, 'has no state'),
        (dict(
            state={0: dict(momentum_buffer=torch.ones(1))},
            param_groups=[dict(params=[0])]), 'another number'),
        (dict(
            state={0: dict(exp_avg=torch.ones(1))},
            param_groups=[dict(params=list(range(330)))]),
         'no momentum_buffer|another number'),
    ):
        content['optimizer'] = optimizer
        torch.save(content, path)
        result, report = convert(path)
        assert any('momentum starts at zero' in note
                   for note in report.notes), reason
        assert result['optimizer']['state'] == {}
        assert ('optimizer', 'see the note on momentum') in report.dropped
