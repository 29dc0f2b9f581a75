# Copyright (c) caco_ext authors. All rights reserved.
"""Every config: model and pipeline fit, and each kind trains two steps."""
import re
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope
from mmengine.runner import Runner

import caco_ext  # noqa: F401
from tests.helpers.distributed import run_distributed

ALL_CONFIGS = Path(__file__).parents[1] / 'configs'
ROOT = ALL_CONFIGS / 'selfsup'
CONFIGS = sorted(
    str(path.relative_to(ROOT)) for path in ROOT.glob('*/*.py')
    if path.parent.name != '_base_')


@lru_cache(maxsize=None)
def load(config):
    """To read them all takes longer than what is done with most of them."""
    return Config.fromfile(ROOT / config)


def test_names_follow_the_pattern():
    pattern = re.compile(
        r'[a-z0-9-]+_[a-z0-9]+_\d+xb\d+-\w+(-\w+)*-\d+e_\w+\.py')
    assert len(CONFIGS) > 40
    for config in CONFIGS:
        name = Path(config).name
        assert pattern.fullmatch(name), name
        assert f'-{load(config).train_cfg.max_epochs}e_' in name


def test_leaves_say_what_differs():
    for path in ALL_CONFIGS.rglob('*.py'):
        if '_base_' not in path.parts:
            assert len(path.read_text().splitlines()) <= 20, path


@lru_cache(maxsize=None)
def num_views(model):
    """Views of a model, whose config is given as text; most are alike."""
    model = MODELS.build(Config.fromstring(model, '.py').model)
    return getattr(model, 'num_views', 2)


@pytest.mark.parametrize('config', CONFIGS)
def test_config(config, monkeypatch):
    cfg = load(config)
    init_default_scope(cfg.default_scope)
    # Random numbers for all the weights would take most of the time.
    monkeypatch.setattr(torch.nn.init, 'kaiming_uniform_',
                        lambda tensor, **options: tensor)
    pipeline = [
        TRANSFORMS.build(one) for one in cfg.train_dataloader.dataset.pipeline
    ]
    views = [
        one.total_views for one in pipeline if hasattr(one, 'total_views')
    ]
    assert views == [num_views(f'model = {cfg.model.to_dict()!r}')]
    ends = {one.get('end') for one in cfg.param_scheduler}
    assert cfg.train_cfg.max_epochs in ends
    batch = int(Path(config).name.split('xb')[1].split('-')[0])
    assert cfg.train_dataloader.batch_size == batch
    # Neither of them waits for the GPU.
    assert cfg.model.data_preprocessor.type == 'ViewDataPreprocessor'
    assert cfg.train_dataloader.pin_memory


def kind(config):
    """What is the same on a narrow network, whatever depth and epochs."""
    config = re.sub(r'_resnet(18w025|50w2|\d+)_|-\d+e_', '_', config)
    config = config.replace('_1xb512',
                            '_1xb128').replace('cifar100', 'cifar10')
    return re.sub('_(stl10|imagenette|in100)', '_one_gpu', config)


# One of each kind.
TRAINED = list({kind(config): config for config in reversed(CONFIGS)}.values())


def train(config, work_dir, ranks=1):
    """Two steps of a preset's pipeline and losses, on a narrow network."""
    cfg = Config.fromfile(ROOT / config)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = Path(config).stem
    cfg.launcher = 'pytorch' if ranks > 1 else 'none'
    # Not narrower: on some processors oneDNN 3.12 corrupts memory in the
    # backward pass of a 1 x 1 convolution of eight channels with stride 2.
    cfg.model.backbone.update(depth=18, base_channels=16, stem_channels=16)
    for name in ('neck', 'attention_neck'):
        if name in cfg.model:
            cfg.model[name].in_channels = 128
    if 'attention' in cfg.model:
        cfg.model.attention.update(
            in_channels=64, out_channels=128, num_blocks=2, head_channels=8)
    if 'memory' in cfg.model:
        cfg.model.memory.num_columns = 12
    loader = cfg.train_dataloader
    loader.update(
        batch_size=4 // ranks, num_workers=0, persistent_workers=False)
    loader.dataset = dict(
        type='PhotoPatches', indices=8, pipeline=loader.dataset.pipeline)
    cfg.train_cfg.max_epochs = 1
    cfg.default_hooks.knn = None
    cfg.default_hooks.checkpoint = dict(type='ResumableCheckpointHook')
    cfg.default_hooks.setup_check.allow_cut_schedule = True
    cfg.default_hooks.logger.interval = 1
    cfg.log_level = 'WARNING'
    runner = Runner.from_cfg(cfg)
    start = runner.model.state_dict()
    start = {name: value.clone() for name, value in start.items()}
    runner.train()
    assert runner.iter == 2
    loss = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(loss) == 2 and torch.isfinite(torch.tensor(loss)).all()
    return start, runner.model.state_dict()


@pytest.mark.slow
@pytest.mark.parametrize('config', TRAINED)
def test_two_steps(config, tmp_path):
    start, end = train(config, tmp_path)
    weight = 'backbone.conv1.weight'
    assert not torch.equal(end[weight], start[weight])
    state = torch.load(tmp_path / 'epoch_1.pth')['state_dict']
    assert state.keys() == end.keys()


# One of each way through the code, as two processes need time to start.
MODES = [
    'adco/adco_resnet50_8xb32-asym-coslr-200e_in1k.py',
    'adco/adco_resnet50_8xb32-multicrop-sym-coslr-200e_in1k.py',
    'caco/caco_resnet50_8xb128-sym-coslr-200e_in1k.py',
    'caco/caco_resnet50_32xb64-multicrop-coslr-800e_in1k.py',
    'clsa/clsa_resnet50_8xb32-single-coslr-200e_in1k.py',
    'clsa/clsa_resnet50_8xb32-multicrop-sym-coslr-200e_in1k.py',
    'clsa/clsa-byol_resnet50_16xb256-single-coslr-200e_in1k.py',
    'clsa/clsa-simclr_resnet50_8xb32-single-coslr-200e_in1k.py',
    'care/care_resnet50_8xb128-2view-coslr-100e_in1k.py',
]


def train_all(folder):
    """Parameters and memories of this rank after each mode."""
    states = {}
    for config in MODES:
        _, state = train(config, Path(folder) / Path(config).stem, ranks=2)
        # Statistics of norms that are not synchronised are each rank's own.
        states[config] = {
            name: value
            for name, value in state.items()
            if 'running' not in name and 'num_batches' not in name
        }
    return states


@pytest.mark.slow
def test_two_steps_in_two_processes(tmp_path):
    one, other = run_distributed(train_all, 2, str(tmp_path))
    for config, state in one.items():
        assert state.keys() == other[config].keys()
        for name, value in state.items():
            assert torch.equal(value, other[config][name]), (config, name)
