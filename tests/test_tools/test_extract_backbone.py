"""tools/model_converters/extract_backbone.py on real and on bad files."""
import os.path as osp
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader
from torch import nn

from tests.helpers import ROOT
from tests.helpers.processes import run_tool

NAME = 'model_converters/extract_backbone.py'
TOOL = osp.join(ROOT, 'tools', NAME)


@pytest.fixture
def run_here(monkeypatch):
    """The tool in this process: it spares the imports of a new one."""

    def run(*args):
        monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(TOOL, run_name='__main__')
        return stop.value.code

    return run


class Detector(BaseModule):
    """A downstream model with the same backbone under ``init_cfg``."""

    def __init__(self, init_cfg):
        super().__init__()
        self.backbone = Backbone(init_cfg)


class Backbone(BaseModule):

    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)


def test_backbone_arrives_in_another_model(tmp_path):
    source, result = tmp_path / 'epoch_2.pth', tmp_path / 'new' / 'bb.pth'
    torch.manual_seed(0)
    backbone = Backbone()
    backbone.norm.running_mean.fill_(3.)
    state = {f'backbone.{n}': v for n, v in backbone.state_dict().items()}
    state.update({
        'backbone_k.conv.weight': torch.ones(1),
        'neck.fc.weight': torch.ones(2)
    })
    torch.save(
        dict(state_dict=state, meta=dict(epoch=2, iter=78), optimizer={}),
        source)
    output = run_tool(NAME, source, result, cwd=tmp_path)
    assert "prefix='backbone.'" in output
    assert list(result.parent.iterdir()) == [result]  # nothing temporary left

    content = CheckpointLoader.load_checkpoint(str(result), 'cpu')
    assert set(content) == {'state_dict', 'meta'}
    assert set(content['state_dict']) == {
        f'backbone.{n}'
        for n in backbone.state_dict()
    }
    assert content['meta']['epoch'] == 2
    assert content['meta']['source'] == 'epoch_2.pth'

    model = Detector(
        dict(type='Pretrained', checkpoint=str(result), prefix='backbone.'))
    model.init_weights()
    for name, value in backbone.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], value), name


def test_bad_sources(tmp_path, run_here):
    result = tmp_path / 'bb.pth'
    other, text = tmp_path / 'other.pth', tmp_path / 'text.pth'
    torch.save(dict(state_dict={'encoder.fc.weight': torch.ones(1)}), other)
    text.write_text('not a checkpoint')
    evil, odd = tmp_path / 'evil.pth', tmp_path / 'odd.pth'
    torch.save(dict(state_dict={'backbone.x': 'no tensor'}), odd)
    # a class that nobody allowed: nothing is unpickled but plain data
    torch.save(dict(state_dict={'backbone.x': Path('code')}), evil)
    for source, message in (
        (other, "no key that begins with 'backbone.', only encoder"),
        (text, 'is not a readable checkpoint'),
        (evil, 'is not a readable checkpoint'),
        (odd, "'backbone.x' is a str, not a tensor"),
        (tmp_path / 'none.pth', 'no checkpoint'),
    ):
        error = run_here(source, result)
        assert error.startswith('error: ') and message in error
        assert not result.exists()


def test_folder_as_destination(tmp_path, run_here):
    assert 'is a folder; name a file' in run_here(tmp_path / 'a.pth', tmp_path)


def test_missing_arguments(run_here, capsys):
    assert run_here('a.pth') == 2
    assert 'required: dst' in capsys.readouterr().err
