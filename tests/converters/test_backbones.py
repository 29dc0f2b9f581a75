# Copyright (c) caco_ext authors. All rights reserved.
"""Backbones out to other libraries, inspection and publication."""
import pickle

import pytest
import torch
import torchvision
import yaml

from caco_ext.converters import CheckpointError, write_checkpoint
from caco_ext.converters.backbones import build, find_backbone, read_backbone
from caco_ext.converters.exports import (_compare, _Pooled, enter, export,
                                         export_onnx, publish, zoo_entry)
from caco_ext.converters.inspection import inspect
from caco_ext.converters.resnet import to_detectron2
from caco_ext.utils.config_files import config_path
from tests.helpers import original_checkpoints as originals


@pytest.fixture
def author(tmp_path):
    """An author's checkpoint of a ResNet-18."""
    net = originals.network(18)
    path = str(tmp_path / 'a.pth.tar')
    torch.save(originals.adco_of(net), path)
    return path, net


def same(one, other):
    return set(one) == set(other) and all(
        torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_every_target_comes_back(author, tmp_path):
    path, net = author
    backbone = read_backbone(path)
    assert backbone.meta == dict(method='adco', epoch=3)
    for target in ('openmmlab', 'torchvision', 'timm', 'detectron2'):
        content = export(backbone, target, dict(source='x'))
        for suffix in ('pth', 'safetensors'):
            file = str(tmp_path / f'{target}.{suffix}')
            if suffix == 'safetensors' and 'model' in content:
                content['state_dict'] = content.pop('model')
            write_checkpoint(content, file)
            again = read_backbone(file)
            assert same(again.weights, backbone.weights), (target, suffix)
            assert list(again.weights) == list(backbone.weights)
            assert again.architecture == backbone.architecture
    assert read_backbone(path,
                         'backbone_k').weights['conv1.weight'].shape == (64, 3,
                                                                         7, 7)


def test_torchvision_loads_all_but_fc(author):
    path, net = author
    content = export(read_backbone(path), 'torchvision', {})
    fresh = torchvision.models.get_model(content['meta']['model'])
    keys = fresh.load_state_dict(content['state_dict'], strict=False)
    assert keys.missing_keys == ['fc.weight', 'fc.bias']
    assert keys.unexpected_keys == []
    images = originals.fill.images(2, 64)
    fresh.fc = net.fc = torch.nn.Identity()
    with torch.no_grad():
        assert torch.equal(fresh.eval()(images), net(images))


def test_detectron2_names(author):
    """The rules of its own converter, spelt out for each kind of entry."""
    wide = originals.network(50, 8)
    state = {
        name: value
        for name, value in wide.state_dict().items()
        if not name.startswith('fc.')
    }
    names = dict(zip(state, to_detectron2(state)))
    assert names['conv1.weight'] == 'stem.conv1.weight'
    assert names['bn1.running_mean'] == 'stem.conv1.norm.running_mean'
    assert names['layer3.0.bn2.running_var'] == 'res4.0.conv2.norm.running_var'
    assert names['layer1.0.downsample.0.weight'] == 'res2.0.shortcut.weight'
    assert names['layer4.0.downsample.1.bias'] == 'res5.0.shortcut.norm.bias'
    assert len(set(names.values())) == 318


def test_library_without_such_a_model(tmp_path):
    net = originals.network(50, 8)
    backbone = find_backbone({k: v for k, v in net.state_dict().items()}, 'it')
    with pytest.raises(CheckpointError, match='timm has no model of the size'):
        export(backbone, 'timm', {})
    with pytest.raises(CheckpointError, match='--to keras'):
        export(backbone, 'keras', {})


def test_files_without_a_backbone(tmp_path):
    path = str(tmp_path / 'a.pth')
    torch.save(dict(state_dict={'backbone.x': torch.ones(1)}), path)
    with pytest.raises(CheckpointError, match='no ResNet of depth'):
        read_backbone(path)
    torch.save(dict(state_dict={'key_encoder.y': torch.ones(1)}), path)
    with pytest.raises(CheckpointError, match='only key_encoder'):
        read_backbone(path)
    probe, _ = originals.probe('care')
    torch.save(probe, path)
    assert read_backbone(path).meta['method'] == 'care'
    with pytest.raises(CheckpointError, match='no key encoder'):
        read_backbone(path, 'backbone_k')


def test_onnx_agrees_and_a_wrong_one_is_not_written(author, tmp_path,
                                                    monkeypatch):
    import onnx
    path, net = author
    backbone = read_backbone(path)
    target = tmp_path / 'a.onnx'
    assert export_onnx(backbone, str(target), dict(epoch=3)) < 1e-4
    props = {p.key: p.value for p in onnx.load(str(target)).metadata_props}
    assert props == dict(epoch='3')

    class Session:
        """A runtime that is wrong by a thousandth."""

        @staticmethod
        def run(names, feed):
            out = build(backbone)(torch.from_numpy(feed['images']))[-1]
            out = out.detach() * 1.001
            return [out.mean((2, 3)).numpy(), out.numpy()]

    with pytest.raises(CheckpointError, match='differ by 1.0e-03'):
        _compare(_Pooled(build(backbone)), Session())


def test_inspection(author, tmp_path):
    path, _ = author
    lines = inspect(path)
    assert len(lines) == 10
    text = dict(line.split(': ', 1) for line in lines)
    assert text['kind'].startswith("authors' pre-training of AdCo, ResNet-18")
    assert (text['method'], text['backbone'],
            text['epoch']) == ('adco', 'ResNet-18', '3')
    assert 'Memory_Bank (W, v)' in text['parts']
    assert len(text['sha256']) == 64
    odd = str(tmp_path / 'odd.pth')
    torch.save([1, 2], odd)
    text = dict(line.split(': ', 1) for line in inspect(odd))
    assert text['kind'].startswith('unknown: it holds a list')


def test_publication(tmp_path):
    from caco_ext.converters import convert, read_checkpoint
    path = str(tmp_path / 'a.pth.tar')
    originals.small(path, 'adco')
    full, _ = convert(path)
    source = str(tmp_path / 'epoch_200.pth')
    write_checkpoint(full, source)
    config = config_path('adco/adco_resnet50_8xb32-asym-coslr-200e_in1k.py')
    for part in ('full', 'backbone'):
        result = publish(config, source, str(tmp_path / part), '20261122',
                         part)
        content = read_checkpoint(result)
        assert set(content) == {'state_dict', 'meta'}
        import hashlib
        digest = hashlib.sha256(open(result, 'rb').read()).hexdigest()
        assert result.endswith(
            f'asym-coslr-200e_in1k_20261122-{digest[:8]}.pth')
        assert [p.name for p in (tmp_path / part).iterdir()
                ] == [result.rsplit('/', 1)[-1]]
    assert len(content['state_dict']) == 318

    entry = zoo_entry(config, result, 'https://example.org/zoo/')
    assert entry['Metadata']['Batch Size'] == 256
    metafile = tmp_path / 'metafile.yml'
    text = open(config_path('adco/metafile.yml')).read()
    metafile.write_text(text)
    assert 'entered' in enter(entry, str(metafile))
    after = yaml.safe_load(metafile.read_text())
    before = yaml.safe_load(text)
    changed = [
        new['Name'] for old, new in zip(before['Models'], after['Models'])
        if old != new
    ]
    assert changed == [entry['Name']]
    assert text.splitlines()[0] in metafile.read_text()  # comments stay
    entry['Name'] += '_again'
    assert 'added' in enter(entry, str(metafile))
    assert yaml.safe_load(metafile.read_text())['Models'][-1] == entry
    with pytest.raises(CheckpointError, match='is of adco, and .* trains'):
        publish(
            config_path('caco/caco_resnet50_8xb128-sym-coslr-200e_in1k.py'),
            source, str(tmp_path), '20261122')
    with pytest.raises(CheckpointError, match='--date 2026'):
        publish(config, source, str(tmp_path), '2026')


def test_detectron2_pickle_holds_numpy_only(author, tmp_path, monkeypatch):
    import runpy
    import sys
    path, _ = author
    target = tmp_path / 'd2.pkl'
    tool = originals.DATA + '/../../tools/model_converters/export_backbone.py'
    monkeypatch.setattr(
        sys, 'argv',
        [tool, path,
         str(target), '--to', 'detectron2', '--safetensors'])
    runpy.run_path(tool, run_name='__main__')
    with open(target, 'rb') as file:
        content = pickle.load(file)
    assert content['matching_heuristics'] is True
    assert content['__author__'] == 'caco_ext'
    assert {type(v).__name__ for v in content['model'].values()} == {'ndarray'}
    assert read_backbone(str(tmp_path / 'd2.safetensors')).meta['epoch'] == 3
