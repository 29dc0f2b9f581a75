# Copyright (c) caco_ext authors. All rights reserved.
"""A checkpoint of the time before hooks, views and options were renamed.

``caco_resnet18_before_renaming.pth.xz`` is ``epoch_1.pth`` of two epochs that
commit 8f6e9b4 trained: CaCo's quick start on the 16 pictures below, with
``--cfg-options`` for a ResNet-18 and a head of one to eight channels, a bank
of 16 columns, batch 8, ``ViewPreprocessor``, ``model.move=pass`` and
``model.memory.kept_mib=16``, packed by ``xz -9e``.
"""
import lzma
import os.path as osp
import runpy

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

import caco_ext
from caco_ext.converters import (convert, extract_backbone, read_checkpoint,
                                 to_official)
from caco_ext.converters.inspection import inspect
from caco_ext.utils import UsageError
from caco_ext.utils.old_names import with_present_names
from caco_ext.utils.run_config import differences, parse
from caco_ext.visualization.loading import config_of
from tests.helpers import original_checkpoints as originals


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    """The checkpoint, unpacked beside the pictures of its run."""
    folder = tmp_path_factory.mktemp('old')
    path = folder / 'epoch_1.pth'
    packed = osp.join(originals.FOLDER, 'caco_resnet18_before_renaming.pth.xz')
    path.write_bytes(lzma.open(packed).read())
    (folder / 'pictures').mkdir()
    rng = np.random.default_rng(0)
    for i in range(16):
        pixels = rng.integers(0, 256, (36, 36, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'pictures/{i:02d}.png')
    return str(path)


def test_it_is_read_and_converted(path, tmp_path):
    text = dict(line.split(': ', 1) for line in inspect(path))
    assert text['kind'].startswith('checkpoint of caco, to resume from')
    assert (text['method'], text['epoch']) == ('caco', '1')
    state = read_checkpoint(path)['state_dict']
    back, left = to_official(read_checkpoint(path), path)
    assert torch.equal(back['Memory_Bank']['W'], state['memory.columns'])
    assert all(n.startswith(('memory.', 'key_encoder._')) for n in left)
    torch.save(back, tmp_path / 'official.pth.tar')
    again, _ = convert(str(tmp_path / 'official.pth.tar'), 'backbone_k')
    for name, value in again['state_dict'].items():
        assert torch.equal(value, state[f'key_encoder.{name}']), name
    assert extract_backbone(path, str(tmp_path / 'backbone.pth')) == 120
    assert caco_ext.get_model(path).conv1.weight.shape == (1, 3, 7, 7)


def test_its_config_has_the_present_names(path, tmp_path):
    old = read_checkpoint(path)['meta']['cfg']
    text = with_present_names(old)
    assert with_present_names(text) == text
    cfg = config_of(path)
    assert cfg.model.update_after == 'backward'
    assert cfg.model.memory.cache_mib == 16
    assert cfg.model.data_preprocessor.type == 'AugmentDataPreprocessor'
    hooks = cfg.default_hooks
    assert hooks.metrics.type == 'TrainingMetricsHook'
    assert hooks.preemption.type == 'PreemptionHook'
    assert hooks.sharded_memory.type == 'ShardedMemoryHook'
    assert {'signals', 'stop', 'divided_memory'}.isdisjoint(hooks)
    assert not differences(parse(text), parse(cfg.pretty_text))
    assert differences(parse(old), parse(cfg.pretty_text))
    tool = runpy.run_path(osp.join(originals.DATA, '../../tools/test.py'))
    own = tool['write_own_config'](path, dict(cfg=old), str(tmp_path))
    assert Config.fromfile(own).default_hooks == hooks
    # an option that has the name of an old hook stays
    signal = "stop=dict(signals=('SIGTERM', ), type='StopHook')"
    assert with_present_names(signal) == (
        "preemption=dict(signals=('SIGTERM', ), type='PreemptionHook')")


@pytest.mark.parametrize('mode', [None, 'keep'])
def test_training_goes_on(path, tmp_path, mode):
    cfg = config_of(path)
    cfg.merge_from_dict({
        'work_dir':
        str(tmp_path),
        'train_dataloader.dataset.data_root':
        osp.join(osp.dirname(path), 'pictures'),
        'default_hooks.setup_check.resume_changes':
        mode,
        'load_from':
        path,
        'resume':
        True,
    })
    if mode is None:  # what differs is refused as ever
        cfg.model.memory.momentum = 0.5
        with pytest.raises(UsageError, match=r'memory.momentum: 0.9 in the'):
            Runner.from_cfg(cfg).train()
        cfg.model.memory.momentum = 0.9
    else:
        cfg.model.update_after = 'optimizer_step'
    runner = Runner.from_cfg(cfg)
    assert runner.model.update_after == 'backward'
    runner.train()
    assert (runner.epoch, runner.iter) == (2, 4)
    assert read_checkpoint(str(tmp_path / 'epoch_2.pth'))['meta']['iter'] == 4
