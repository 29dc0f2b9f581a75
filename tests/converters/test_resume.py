# Copyright (c) caco_ext authors. All rights reserved.
"""A converted checkpoint goes on training in mmengine's runner."""
import glob
import os.path as osp

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from PIL import Image

from caco_ext.converters import convert, to_official, write_checkpoint
from caco_ext.utils.config_files import config_path
from tests.helpers import original_checkpoints as originals

CONFIGS = dict(
    adco='adco_resnet18_1xb64-asym*',
    caco='caco_resnet18_1xb64-sym-coslr*_photopatches.py',
    clsa='clsa_resnet18_1xb64-single-coslr*_photopatches.py',
    care='care_resnet18_1xb64*_photopatches.py')
EPOCH, LENGTH = 3, 2


class Look(Hook):
    """Notes the state in which the training begins and ends."""

    def before_train_epoch(self, runner):
        optimizer = runner.optim_wrapper.optimizer
        self.begin = dict(
            epoch=runner.epoch,
            iter=runner.iter,
            lr=optimizer.param_groups[0]['lr'],
            due=runner.model.key_encoder.needs_update,
            state={
                name: {
                    k: v.clone()
                    for k, v in optimizer.state[param].items()
                }
                for name, param in runner.model.named_parameters()
                if optimizer.state[param]
            })

    def after_train_epoch(self, runner):
        self.end = dict(epoch=runner.epoch, iter=runner.iter)


def small_config(method, folder):
    """The method's config of the quick start, smaller, on eight pictures."""
    found = sorted(
        glob.glob(
            osp.join(
                osp.dirname(config_path(f'{method}/metafile.yml')),
                CONFIGS[method])))
    cfg = Config.fromfile(found[0])
    rng = np.random.default_rng(0)
    for i in range(8):
        path = folder / 'data' / 'train' / 'a' / f'{i}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    model = cfg.model
    model.backbone.update(base_channels=8, stem_channels=8)
    model.neck.update(in_channels=64, hid_channels=32)
    if method == 'care':
        model.attention.update(in_channels=32, out_channels=64)
        model.attention_neck.update(in_channels=64, hid_channels=32)
        for name in ('predictor', 'attention_predictor'):
            model[name].update(hid_channels=32)
        for name in ('neck', 'attention_neck', 'predictor',
                     'attention_predictor'):
            model[name].norm_cfg = dict(type='BN1d')
        # The original's, which alone has a momentum to be converted.
        cfg.optim_wrapper.optimizer = dict(
            type='SGD', lr=0.2, momentum=0.9, weight_decay=1e-4)
    else:
        model.memory.num_columns = 32
    loader = cfg.train_dataloader
    loader.update(batch_size=4, num_workers=0, persistent_workers=False)
    loader.dataset = dict(
        type='ImageFolder',
        data_root=str(folder / 'data'),
        data_prefix='train',
        pipeline=loader.dataset.pipeline)
    cfg.default_hooks.pop('knn', None)
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', interval=1, save_last=True)
    cfg.visualizer.vis_backends = [dict(type='LocalVisBackend')]
    cfg.work_dir = str(folder / 'run')
    cfg.launcher = 'none'
    # or runners of the same second share a visualizer
    cfg.experiment_name = f'resume_{method}'
    return cfg


@pytest.fixture(params=originals.METHODS)
def case(request, tmp_path):
    """(method, config, an original's file with the sizes of the config)."""
    method = request.param
    cfg = small_config(method, tmp_path)
    init_default_scope('mmselfsup')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    content, _ = to_official(
        dict(state_dict=model.state_dict(), meta=dict(epoch=EPOCH)), 'model')
    container = 'model' if method == 'care' else 'state_dict'
    key = 'mu' if method == 'caco' else 'momentum_buffer'
    names = [
        name for name in content[container]
        if name.rsplit('.', 1)[-1] not in ('running_mean', 'running_var',
                                           'num_batches_tracked', 'queue',
                                           'queue_ptr')
    ]
    own = [n for n in names if '.encoder_q.' in n or '.student_' in n]
    content['optimizer'] = dict(
        state={
            i: {
                key: torch.full_like(content[container][name], 1e-3 * (i + 1))
            }
            for i, name in enumerate(own)
        },
        param_groups=[dict(lr=0.06, params=list(range(len(own))))])
    path = str(tmp_path / 'original.pth.tar')
    torch.save(content, path)
    return method, cfg, path, key, len(own)


@pytest.mark.slow
def test_resume_one_epoch(case, tmp_path):
    method, cfg, path, key, count = case
    config = tmp_path / 'config.py'
    cfg.dump(str(config))
    result, report = convert(path, config=str(config), iters_per_epoch=LENGTH)
    assert not any('other sizes' in note for note in report.notes)
    target = str(tmp_path / 'converted.pth')
    write_checkpoint(result, target)
    cfg.load_from, cfg.resume = target, True
    cfg.train_cfg.max_epochs = EPOCH + 1
    cfg.default_hooks.setup_check.allow_cut_schedule = True
    runner = Runner.from_cfg(cfg)
    look = Look()
    runner.register_hook(look, 'VERY_LOW')
    runner.train()

    begin = look.begin
    assert (begin['epoch'], begin['iter']) == (EPOCH, EPOCH * LENGTH)
    assert runner.epoch == EPOCH + 1
    assert runner.iter == (EPOCH + 1) * LENGTH
    assert begin['due'] is True
    assert begin['lr'] == pytest.approx(_rate(cfg, method), rel=1e-9)
    assert len(begin['state']) == count
    for index, new in enumerate(begin['state']):
        value = begin['state'][new][key]
        assert (value == value.flatten()[0]).all(), new
    # momentum is with its own parameter
    first = begin['state']['backbone.conv1.weight'][key].flatten()[0]
    assert float(first) == pytest.approx(1e-3)
    assert not any('momentum' in note for note in report.notes)
    assert osp.isfile(tmp_path / 'run' / f'epoch_{EPOCH + 1}.pth')


def _rate(cfg, method):
    """Learning rate of epoch 3 by the formulas of the four programs."""
    from math import cos, pi
    lr = cfg.optim_wrapper.optimizer.lr
    turn = (1 + cos(pi * EPOCH / 15)) / 2
    warmed = (1 + cos(pi * (EPOCH - 1) / 14)) / 2
    cosine = cfg.param_scheduler[-1]
    floor = cosine.get('eta_min', lr * cosine.get('eta_min_ratio', 0))
    return floor + (lr - floor) * dict(
        adco=turn, clsa=turn, caco=warmed, care=warmed)[method]


def test_length_of_an_epoch_has_to_be_given(case, tmp_path):
    from caco_ext.converters import CheckpointError
    method, cfg, path, _, _ = case
    config = tmp_path / 'config.py'
    cfg.dump(str(config))
    with pytest.raises(CheckpointError, match='give --iters-per-epoch'):
        convert(path, config=str(config))
    with pytest.raises(CheckpointError, match='--iters-per-epoch 0'):
        convert(path, config=str(config), iters_per_epoch=0)
