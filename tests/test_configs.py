# Copyright (c) caco_ext authors. All rights reserved.
"""Every config: model and pipeline fit, and each mode trains two steps."""
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope
from mmengine.runner import Runner

import caco_ext  # noqa: F401

ROOT = Path(__file__).parents[1] / 'configs/selfsup'
CONFIGS = sorted(
    str(path.relative_to(ROOT)) for path in ROOT.glob('*/*.py')
    if path.parent.name != '_base_')


@lru_cache(maxsize=None)
def load(config):
    """To read them all takes longer than what is done with most of them."""
    return Config.fromfile(ROOT / config)


def test_names_follow_the_pattern():
    import re
    pattern = re.compile(
        r'[a-z0-9-]+_[a-z0-9]+_\d+xb\d+-\w+(-\w+)*-\d+e_\w+\.py')
    assert len(CONFIGS) > 40
    for config in CONFIGS:
        name = Path(config).name
        assert pattern.fullmatch(name), name
        assert f'-{load(config).train_cfg.max_epochs}e_' in name


@pytest.mark.parametrize('config', CONFIGS)
def test_config(config, monkeypatch):
    cfg = load(config)
    init_default_scope(cfg.default_scope)
    # Random numbers for all the weights would take most of the time.
    monkeypatch.setattr(torch.nn.init, 'kaiming_uniform_',
                        lambda tensor, **options: tensor)
    # The parameter count is not the point: one depth serves.
    if cfg.model.backbone.depth > 50:
        cfg.model.backbone.depth = 50
    model = MODELS.build(cfg.model)
    pipeline = [
        TRANSFORMS.build(one) for one in cfg.train_dataloader.dataset.pipeline
    ]
    views = [
        one.total_views for one in pipeline if hasattr(one, 'total_views')
    ]
    assert views == [getattr(model, 'num_views', 2)]
    ends = {one.get('end') for one in cfg.param_scheduler}
    assert cfg.train_cfg.max_epochs in ends
    batch = int(Path(config).name.split('xb')[1].split('-')[0])
    assert cfg.train_dataloader.batch_size == batch


MODES = [
    'adco/adco_resnet50_8xb32-asym-cosine-200e_in1k.py',
    'adco/adco_resnet50_8xb32-symmulticrop-cosine-200e_in1k.py',
    'caco/caco_resnet50_8xb128-sym-warmcos-200e_in1k.py',
    'caco/caco_resnet50_32xb64-multicrop-warmcos-800e_in1k.py',
    'clsa/clsa_resnet50_8xb32-single-cosine-200e_in1k.py',
    'clsa/clsa_resnet50_8xb32-multicropsym-cosine-200e_in1k.py',
    'clsa/clsa-byol_resnet50_16xb256-single-cosine-200e_in1k.py',
    'clsa/clsa-simclr_resnet50_8xb32-single-cosine-200e_in1k.py',
    'care/care_resnet50_8xb128-2view-warmcos-100e_in1k.py',
]


@pytest.mark.parametrize('config', MODES)
def test_two_steps(config, tmp_path):
    """The preset's pipeline and losses, on a narrow network."""
    cfg = Config.fromfile(ROOT / config)
    cfg.work_dir = str(tmp_path)
    cfg.experiment_name = tmp_path.name
    narrow = dict(depth=18, base_channels=8, stem_channels=8)
    cfg.model.backbone.update(narrow)
    for name in ('neck', 'attention_neck'):
        if name in cfg.model:
            cfg.model[name].in_channels = 64
    if 'attention' in cfg.model:
        cfg.model.attention.update(
            in_channels=32, out_channels=64, num_blocks=2, head_channels=8)
    if 'memory' in cfg.model:
        cfg.model.memory.num_columns = 12
    loader = cfg.train_dataloader
    loader.update(batch_size=4, num_workers=0, persistent_workers=False)
    loader.dataset = dict(
        type='PhotoPatches', indices=8, pipeline=loader.dataset.pipeline)
    cfg.train_cfg.max_epochs = 1
    cfg.default_hooks.setup_check.allow_cut_schedule = True
    cfg.default_hooks.logger.interval = 1
    cfg.log_level = 'WARNING'
    runner = Runner.from_cfg(cfg)
    start = runner.model.backbone.conv1.weight.detach().clone()
    runner.train()
    assert runner.iter == 2
    assert not torch.equal(runner.model.backbone.conv1.weight, start)
    loss = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(loss) == 2 and torch.isfinite(torch.tensor(loss)).all()
    state = torch.load(tmp_path / 'epoch_1.pth')['state_dict']
    assert state.keys() == runner.model.state_dict().keys()
