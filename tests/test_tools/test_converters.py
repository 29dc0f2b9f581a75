"""The converters of tools/model_converters from the command line."""
import json
import os.path as osp
import runpy
import sys
from glob import glob

import pytest
import torch

from ..converters import originals

TOOLS = osp.join(
    osp.dirname(osp.abspath(__file__)), '../../tools/model_converters')


@pytest.fixture
def call(monkeypatch, capsys):
    """A tool in this process: it spares the imports of a new one.

    Returns what it printed, or the message it ended with.
    """

    def call(name, *args):
        tool = osp.join(TOOLS, f'{name}.py')
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
        capsys.readouterr()
        try:
            runpy.run_path(tool, run_name='__main__')
        except SystemExit as stop:
            return str(stop.code)
        return capsys.readouterr().out

    return call


def test_there_and_back(call, tmp_path):
    source, full = tmp_path / 'a.pth.tar', tmp_path / 'full.pth'
    content = originals.small(str(source), 'caco')
    report = tmp_path / 'report.json'
    out = call('convert_official', source, full, '--report', report,
               '--safetensors')
    assert 'pre-training of CaCo' in out and '--resume' in out
    assert 'momentum starts at zero: the file has no optimizer' in out
    assert (tmp_path / 'full.safetensors').is_file()
    account = json.loads(report.read_text())
    assert len(account['used']) == 664 + 3 and account['dropped'] == []
    back = tmp_path / 'back.pth.tar'
    out = call('convert_official', full, back, '--back')
    assert 'without place in the original: key_encoder._extra_state' in out
    again = torch.load(back, weights_only=True)
    assert again['epoch'] == content['epoch']
    for name, value in originals.flat(content).items():
        assert torch.equal(originals.flat(again)[name], value), name
    out = call('inspect_checkpoint', full)
    assert out.count('\n') == 10
    assert 'checkpoint of caco, to resume from (full)' in out
    assert 'source: a.pth.tar' in out


@pytest.mark.parametrize('method, config', [
    ('adco', 'adco_resnet50_8xb32-sym-cosine-200e_in1k'),
    ('caco', 'caco_resnet50_8xb128-sym-warmcos-200e_in1k'),
    ('clsa', 'clsa_resnet50_8xb32-single-cosine-200e_in1k'),
    ('care', 'care_resnet50_8xb128-2view-warmcos-100e_in1k'),
])
def test_with_a_preset(call, tmp_path, method, config):
    """The length of ImageNet is known; of other data it has to be given."""
    source, target = tmp_path / 'a.pth.tar', tmp_path / 'b.pth'
    originals.small(str(source), method)
    folder = osp.join(TOOLS, '../../configs/selfsup', method)
    call('convert_official', source, target, '--config',
         f'{folder}/{config}.py')
    batch = 1024 if 'xb128' in config else 256
    meta = torch.load(target, weights_only=True)['meta']
    assert meta['epoch'] > 1
    assert meta['iter'] == meta['epoch'] * (1281167 // batch)
    small, = glob(f'{folder}/{method}_resnet18_*-15e_photopatches.py')[:1]
    assert 'give --iters-per-epoch' in call('convert_official', source, target,
                                            '--config', small)


def test_dropped_entries_are_named(call, tmp_path):
    source = tmp_path / 'a.pth.tar'
    originals.small(str(source), 'care', optimizer=dict(state={}), extra=[1])
    out = call('convert_official', source, tmp_path / 'b.pth', '--part',
               'backbone_k')
    for line in (
            'dropped: extra: a list, which no program of the four reads',
            "query encoder's backbone, not asked for by --part backbone_k",
            'attention stream, not asked for', 'predictor, not asked for',
            'dropped: optimizer: a backbone does not train on',
            '318 tensors written', "prefix='backbone.'"):
        assert line in out, line


def test_export(call, tmp_path):
    source = tmp_path / 'a.pth.tar'
    torch.save(originals.adco_of(originals.network(18)), source)
    for target, use in (('openmmlab', 'init_cfg'), ('timm', "'resnet18'"),
                        ('torchvision', 'models.resnet18()'),
                        ('detectron2', 'MODEL.RESNETS.DEPTH 18')):
        out = call('export_backbone', source, tmp_path / f'{target}.pth',
                   '--to', target)
        assert use in out and '120 tensors written' in out
    assert 'agree to' in call('export_backbone', source, tmp_path / 'a.onnx',
                              '--to', 'onnx')


def test_errors_end_with_one_line(call, tmp_path):
    empty, target = tmp_path / 'a.pth', tmp_path / 'b.pth'
    empty.write_bytes(b'')
    config = originals.FOLDER + '/none.py'
    for command in (('convert_official', empty,
                     target), ('convert_official', empty, target, '--back'),
                    ('export_backbone', empty, target, '--to',
                     'timm'), ('inspect_checkpoint', empty)):
        assert call(*command) == f"error: '{empty}' is empty (0 bytes)"
        assert not target.exists()
    assert 'is a folder; name a file' in call('convert_official', empty,
                                              tmp_path)
    assert 'no such config' in call('publish_model', config, empty, tmp_path)
    assert 'does not exist' in call('inspect_checkpoint', target)
