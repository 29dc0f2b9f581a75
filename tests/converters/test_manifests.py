# Copyright (c) caco_ext authors. All rights reserved.
"""Converted networks compute what the originals' computed."""
import os.path as osp

import numpy as np
import pytest
import torch
import torchvision
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from torch.nn import functional as F

from caco_ext.converters import (METHODS, convert, read_checkpoint,
                                 to_official, write_checkpoint)
from caco_ext.utils.config_files import config_path
from tests.helpers import original_checkpoints as originals


def assert_close(value, wanted, what):
    """1e-4 of the largest value."""
    wanted = torch.from_numpy(wanted)
    error = float((value - wanted).abs().max() / wanted.abs().max())
    assert error < 1e-4, f'{what}: {error}'


@pytest.fixture(scope='module', params=originals.METHODS)
def case(request, tmp_path_factory):
    """(method, its file's content, path of the file, recorded outputs)."""
    method = request.param
    folder = tmp_path_factory.mktemp(method)
    path = folder / 'checkpoint.pth.tar'
    content = originals.write(path, originals.manifest(method))
    recorded = np.load(osp.join(originals.FOLDER, f'{method}_resnet50.npz'))
    yield method, content, str(path), recorded
    for file in folder.iterdir():
        file.unlink()


@pytest.mark.slow
@torch.no_grad()
def test_full(case, tmp_path):
    method, content, path, recorded = case
    result, report = convert(path)
    # every entry of the file is used, none is dropped
    cut = {'Memory_Bank/W': 'Memory_Bank.W', 'Memory_Bank/v': 'Memory_Bank.v'}
    given = {
        cut.get(name,
                name.split('/')[-1])
        for name in originals.flat(content)
    }
    assert given <= {name for name, _ in report.used}
    assert given | {'epoch', 'arch', 'best_acc', 'start_epoch'} >= {
        name
        for name, _ in report.used
    }
    assert report.dropped == []
    assert not any('other sizes' in note for note in report.notes)

    init_default_scope('mmselfsup')
    cfg = Config.fromfile(config_path(METHODS[method].config))
    model = MODELS.build(cfg.model)
    model.load_state_dict(result['state_dict'], strict=True)
    assert type(model.backbone).__module__.startswith('mmselfsup.')
    model = revert_sync_batchnorm(model).eval()
    if method == 'care':
        _check_care(model, recorded)
    else:
        for name, encoder in (('q', model), ('k', model.key_encoder)):
            images = originals.fill.images(2, 64)
            maps = encoder.backbone(images)[-1]
            assert_close(maps.mean((2, 3)), recorded[f'backbone_{name}'], name)
            assert_close(
                model.encode(images, encoder), recorded[f'embedding_{name}'],
                name)
    if method in ('adco', 'caco'):
        assert not model.memory.needs_fill

    # forth and back: the same bytes under the same names
    back, left = to_official(result, path)
    assert list(back) == list(content) or set(back) == set(content)
    wanted, got = originals.flat(content), originals.flat(back)
    assert list(got) == list(wanted)
    for name, value in wanted.items():
        assert got[name].dtype == value.dtype, name
        assert got[name].numpy().tobytes() == value.numpy().tobytes(), name
    assert all(
        name.startswith('memory.') or name.endswith('_extra_state')
        for name in left)


def _check_care(model, recorded):
    images = originals.fill.images(2, 224)
    small = originals.fill.images(2, 64)
    for name, encoder in (('student', model), ('teacher', model.key_encoder)):
        maps = encoder.backbone(small)[-1]
        assert_close(maps.mean((2, 3)), recorded[f'backbone_{name}'], name)
        cnn, attention = model.encode(images, encoder)
        assert_close(cnn, recorded[f'cnn_{name}'], name)
        assert_close(attention, recorded[f'attention_{name}'], name)
        shared = encoder.backbone(images)[-2]
        assert_close(
            encoder.attention(shared).mean((2, 3)),
            recorded[f'attention_map_mean_{name}'], name)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize('part', ['backbone', 'backbone_k'])
def test_torchvision(case, tmp_path, part):
    method, content, path, recorded = case
    result, report = convert(path, part, prefix='')
    given = sum(1 for _ in originals.flat(content))
    assert len(result['state_dict']) == 318
    scalars = {'epoch', 'arch', 'best_acc', 'start_epoch'}
    rows = [name for name, _ in report.used + report.dropped]
    assert len(set(rows) -
               scalars) == given == len(rows) - len(scalars & set(rows))
    write_checkpoint(result, str(tmp_path / 'b.pth'))
    state = read_checkpoint(str(tmp_path / 'b.pth'))['state_dict']
    net = torchvision.models.resnet50()
    keys = net.load_state_dict(state, strict=False)
    assert keys.missing_keys == ['fc.weight', 'fc.bias']
    assert keys.unexpected_keys == []
    net.fc = torch.nn.Identity()
    name = dict(backbone='q', backbone_k='k')[part]
    if method == 'care':
        name = dict(q='student', k='teacher')[name]
    assert_close(net.eval()(originals.fill.images(2, 64)),
                 recorded[f'backbone_{name}'], part)


def test_stock_hosts_load_a_backbone(tmp_path):
    """By ``init_cfg``, as in every OpenMMLab project; numbers are equal."""
    net = originals.network(18)
    torch.save(originals.adco_of(net), tmp_path / 'a.pth.tar')
    result, _ = convert(str(tmp_path / 'a.pth.tar'), 'backbone')
    target = str(tmp_path / 'b.pth')
    write_checkpoint(result, target)
    images = originals.fill.images(2, 64)
    with torch.no_grad():
        net.fc = torch.nn.Identity()
        wanted = net(images)
        for kind in ('mmselfsup.ResNet', 'mmcls.ResNet'):
            backbone = MODELS.build(
                dict(
                    type=kind,
                    depth=18,
                    init_cfg=dict(
                        type='Pretrained',
                        checkpoint=target,
                        prefix='backbone.')))
            backbone.init_weights()
            backbone.eval()  # returns nothing
            out = F.adaptive_avg_pool2d(backbone(images)[-1], 1)
            assert torch.allclose(
                out.flatten(1), wanted, rtol=1e-4, atol=1e-5), kind
