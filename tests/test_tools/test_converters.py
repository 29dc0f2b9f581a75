"""The converters of tools/model_converters from the command line."""
import json
import os.path as osp
import runpy
import sys
from glob import glob

import pytest
import torch

from tests.helpers import original_checkpoints as originals
from tests.helpers import other_checkpoints as others

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
    ('adco', 'adco_resnet50_8xb32-sym-coslr-200e_in1k'),
    ('caco', 'caco_resnet50_8xb128-sym-coslr-200e_in1k'),
    ('clsa', 'clsa_resnet50_8xb32-single-coslr-200e_in1k'),
    ('care', 'care_resnet50_8xb128-2view-coslr-100e_in1k'),
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


@pytest.mark.slow
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


def test_the_source_is_never_the_output(call, tmp_path):
    """Under another name neither, and nothing is written elsewhere."""
    source, link = tmp_path / 'a.pth', tmp_path / 'link.safetensors'
    torch.save(originals.adco_of(originals.network(18)), source)
    link.symlink_to('a.pth')
    before = source.read_bytes()
    same = f"is the file '{source}' itself"
    for command in (('convert_official', source,
                     source), ('convert_official', source, source, '--back'),
                    ('convert_official', source, tmp_path / 'link.pth',
                     '--safetensors'), ('convert_official', source,
                                        tmp_path / 'b.pth', '--report',
                                        f'{tmp_path}/./a.pth'),
                    ('export_backbone', source, link, '--to',
                     'timm'), ('extract_backbone', source, source)):
        assert same in call(*command), command
    twice = call('convert_official', source, tmp_path / 'b.pth', '--report',
                 tmp_path / 'b.pth')
    assert 'b.pth\' itself' in twice
    assert source.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [source, link]


def test_files_of_other_programs(call, tmp_path):
    """What the tools say of them, and what the user has to say."""
    source, target = tmp_path / 'a.pth', tmp_path / 'b.pth'
    torch.save(others.FILES['timm_training'][0], source)
    out = call('convert_official', source, target, '--part', 'backbone')
    assert 'checkpoint of timm, trained with labels' in out
    assert 'note: trained with labels, by fc.bias, fc.weight' in out
    assert 'kind: checkpoint of timm, trained with labels' in call(
        'inspect_checkpoint', source)
    dino = dict(
        student=others.behind('module.backbone.', others.BARE),
        teacher=others.behind('backbone.', others.BARE))
    torch.save(dino, source)
    for tool, *options in (('convert_official', '--part', 'backbone'),
                           ('export_backbone', '--to',
                            'openmmlab'), ('extract_backbone', )):
        assert 'of DINO, has 2 ResNets' in call(tool, source, target, *options)
        done = call(tool, source, target, *options, '--src-prefix', 'teacher')
        assert '120 tensors' in done
    meta = torch.load(target)['meta']
    assert meta['origin'] == "checkpoint of DINO, 'teacher.backbone.'"
