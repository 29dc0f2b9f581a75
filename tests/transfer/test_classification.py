"""Probes and fine-tuning, small, by the stock trainers."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

from tests.helpers.benchmark_data import COLOURS
from tests.helpers.benchmark_runs import (CONFIGS, NARROW, losses, pretrained,
                                          quick, results, resume, run_stock,
                                          write)

ADCO = 'resnet50_linear-8xb32-coslr-100e_in1k.py'
CACO = 'resnet50_linear-8xb512-larc-coslr-100e_in1k.py'
CARE = 'resnet50_linearbn-8xb32-coslr-80e_in1k.py'
ONE_PERCENT = 'resnet50_head1_4xb64-steplr1e-1-20e_in1k-1pct.py'


def make_folders(root: Path, counts=(12, 6)) -> None:
    """Pictures of three classes, in ImageNet's layout with lists."""
    rng = np.random.default_rng(0)
    (root / 'meta').mkdir(parents=True)
    for split, count in zip(('train', 'val'), counts):
        lines = []
        for label, colour in enumerate(COLOURS):
            folder = root / split / f'n{label}'
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 120, (48, 48, 3)) + np.array(colour)
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
                    folder / f'{i}.png')
                lines.append(f'n{label}/{i}.png {label}\n')
        (root / 'meta' / f'{split}.txt').write_text(''.join(lines))
    for share in ('1', '10'):
        (root / f'meta/train_{share}percent.txt').write_text(
            (root / 'meta/train.txt').read_text())


def shrink(name: str, folder: Path, crop: int = 32) -> Config:
    """A benchmark of three classes on small pictures."""
    cfg = quick(Config.fromfile(f'{CONFIGS}/classification/{name}'), 12)
    for loader in (cfg.train_dataloader, cfg.val_dataloader,
                   cfg.test_dataloader):
        loader.dataset.update(
            data_root=f'{folder}/data', metainfo=dict(classes=('a', 'b', 'c')))
        for step in loader.dataset.pipeline:
            if step.type in ('RandomResizedCrop', 'ResizeEdge', 'Resize'):
                step.scale = crop
            if 'crop_size' in step:
                step.crop_size = crop
    cfg.model.backbone.update(NARROW)
    cfg.model.head.num_classes = 3
    cfg.data_preprocessor.num_classes = 3
    if 'in_channels' in cfg.model.head:
        cfg.model.head.in_channels = 256
    cfg.val_evaluator.topk = cfg.test_evaluator.topk = (1, )
    cfg.log_processor = dict(window_size=1)
    return cfg


def train(monkeypatch, cfg, folder, *options, package='mmcls', run='run'):
    """Train in ``folder/run`` from ``folder/a.pth``."""
    run_stock(monkeypatch, package, 'train.py', write(cfg, folder),
              '--work-dir', folder / run, *options, '--cfg-options',
              f'default_hooks.pretrained.checkpoint={folder}/a.pth')


@pytest.fixture
def data(tmp_path):
    """A folder with pictures and a backbone."""
    make_folders(tmp_path / 'data')
    return tmp_path, pretrained(tmp_path / 'a.pth', **NARROW)


@pytest.mark.slow
@pytest.mark.parametrize('name, lr, package', [(ADCO, 2e-4, 'mmcls'),
                                               (CACO, 40., 'mmcls'),
                                               (CARE, 0.2, 'mmselfsup')])
def test_linear_probes(data, monkeypatch, name, lr, package):
    """They learn, leave the backbone alone and repeat to the number."""
    folder, weights = data
    cfg = shrink(f'imagenet/{name}', folder)
    cfg.train_cfg.max_epochs = 12
    cfg.optim_wrapper.optimizer.lr = lr
    cfg.param_scheduler = []
    cfg.default_hooks.checkpoint.interval = 12
    train(monkeypatch, cfg, folder, package=package)
    found = results(folder / 'run')
    values = losses(folder / 'run')
    assert sum(values[-3:]) < sum(values[:3])
    assert found['best']['accuracy/top1']['value'] > 60
    assert found['metrics'] == found['history'][-1]['metrics']
    state = torch.load(folder / 'run/epoch_12.pth')['state_dict']
    for key, value in weights.items():
        assert torch.equal(state[f'backbone.{key}'], value), key
    if name == ADCO:
        train(monkeypatch, cfg, folder, package=package, run='again')
        assert results(folder / 'again')['history'] == found['history']
        assert losses(folder / 'again') == values
    if name == CARE:
        assert 'head.fc.bn.running_mean' in state


def test_the_papers_protocols():
    """Sections 6.1 and 6.2 of the papers' programs, read from the configs."""

    def read(name):
        return Config.fromfile(f'{CONFIGS}/classification/{name}')

    def optimizer(cfg):
        found = cfg.optim_wrapper.optimizer
        return (found.type, found.lr, found.momentum, found.weight_decay)

    adco, caco, care = (read(f'imagenet/{n}') for n in (ADCO, CACO, CARE))
    assert optimizer(adco) == ('SGD', 10., 0.9, 0.)
    assert optimizer(caco) == ('LARC', 0.4, 0.9, 0.)
    assert optimizer(care) == ('SGD', 0.2, 0.9, 0.)
    assert [c.train_cfg.max_epochs
            for c in (adco, caco, care)] == [100, 100, 80]
    assert [c.train_dataloader.batch_size
            for c in (adco, caco, care)] == [32, 512, 32]
    assert adco.param_scheduler.eta_min == 0.01
    assert care.param_scheduler.convert_to_iter_based
    assert all(c.model.backbone.frozen_stages == 4 for c in (adco, caco, care))
    for name, lr, epochs in (('linear-8xb32-coslr-100e', 5., 100),
                             ('mhead_8xb32-steplr-28e', 0.01, 28)):
        cfg = read(f'places205/resnet50_{name}_places205.py')
        assert optimizer(cfg)[1] == lr
        assert cfg.train_cfg.max_epochs == epochs
        assert cfg.model.head.num_classes == 205
        assert 'places205.csv' in cfg.train_dataloader.dataset.ann_file


def places(folder: Path, name: str) -> Config:
    """A benchmark on Places205, in the layout of its archive."""
    root = folder / 'data'
    lists, pictures = 'trainvalsplit_places205', (
        'data/vision/torralba/deeplearning/images256')
    (root / lists).mkdir()
    (root / pictures).parent.mkdir(parents=True)
    (root / pictures).symlink_to(root)
    for split in ('train', 'val'):
        (root / lists / f'{split}_places205.csv').write_text(''.join(
            f'{split}/{line}'
            for line in (root /
                         f'meta/{split}.txt').read_text().splitlines(True)))
    return shrink(f'places205/resnet50_{name}_places205.py', folder)


@pytest.mark.slow
def test_places205_as_the_host_means_it(data, monkeypatch):
    """Heads on five maps train and are measured; pooled for 224 pixels."""
    folder, _ = data
    cfg = places(folder, 'mhead_8xb32-steplr-28e')
    cfg.model.head.backbone = 'resnet50'
    cfg.model.backbone.update(stem_channels=64, base_channels=64)
    pretrained(folder / 'a.pth')
    for loader in (cfg.train_dataloader, cfg.val_dataloader,
                   cfg.test_dataloader):
        loader.dataset.update(indices=2)
        loader.dataset.pipeline = [
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(224, 224)),
            dict(type='PackClsInputs')
        ]
    cfg.train_dataloader.batch_size = 2
    cfg.train_cfg.max_epochs = 1
    train(monkeypatch, cfg, folder)
    metrics = results(folder / 'run')['metrics']
    assert set(metrics) == {f'head{i}/top1' for i in range(5)} | {'top1'}
    assert metrics['top1'] == max(metrics.values())
    assert resume(monkeypatch, 'mmcls', str(folder / 'tiny.py'),
                  folder / 'run', 'train_cfg.max_epochs=2') == [1, 2]


@pytest.mark.slow
def test_places205_as_adco_has_it(data, monkeypatch):
    """One cosine over all epochs; the layer learns, the backbone does not."""
    folder, weights = data
    cfg = places(folder, 'linear-8xb32-coslr-100e')
    cfg.train_cfg.max_epochs = 12
    cfg.param_scheduler.update(T_max=12, end=12)
    cfg.optim_wrapper.optimizer.lr = 4e-4
    cfg.default_hooks.checkpoint.interval = 12
    train(monkeypatch, cfg, folder)
    found = results(folder / 'run')
    assert found['task'] == 'linear_places205'
    assert found['best']['accuracy/top1']['value'] > 60
    state = torch.load(folder / 'run/epoch_12.pth')
    [schedule] = state['param_schedulers']
    last = 2e-4 * (1 + np.cos(np.pi * 11 / 12))
    assert schedule['_last_value'] == [pytest.approx(last)]
    for key, value in weights.items():
        assert torch.equal(state['state_dict'][f'backbone.{key}'], value), key


@pytest.mark.slow
def test_fine_tuning_moves_the_backbone_and_resumes(data, monkeypatch):
    folder, weights = data
    cfg = shrink(f'imagenet/{ONE_PERCENT}', folder)
    cfg.train_cfg.max_epochs = 2
    cfg.default_hooks.checkpoint.interval = 1
    train(monkeypatch, cfg, folder)
    whole = results(folder / 'run')
    name = 'layer4.2.conv3.weight'
    state = torch.load(folder / 'run/epoch_2.pth')['state_dict']
    assert not torch.equal(state[f'backbone.{name}'], weights[name])
    # stopped after one epoch and resumed
    cfg.train_cfg.max_epochs = 1
    train(monkeypatch, cfg, folder, run='half')
    cfg.train_cfg.max_epochs = 2
    train(monkeypatch, cfg, folder, '--resume', run='half')
    again = results(folder / 'half')
    assert [e['epoch'] for e in again['history']] == [1, 2]
    assert len(whole['history']) == 2


@pytest.mark.slow
@pytest.mark.parametrize('fault, error, words', [
    ('list', FileNotFoundError, 'train.txt'),
    ('picture', FileNotFoundError, 'n1/3.png'),
    ('classes', ValueError, 'model.head.num_classes is 4'),
    ('label', ValueError, 'has the label 7'),
    ('checkpoint', ValueError, 'default_hooks.pretrained.checkpoint=FILE'),
])
def test_faults_are_found_before_training(data, monkeypatch, fault, error,
                                          words):
    folder, _ = data
    cfg = shrink(f'imagenet/{ADCO}', folder)
    path = folder / 'data/meta/train.txt'
    if fault == 'list':
        path.unlink()
    elif fault == 'picture':
        (folder / 'data/train/n1/3.png').unlink()
    elif fault == 'classes':
        cfg.model.head.num_classes = 4
    elif fault == 'label':
        path.write_text(path.read_text() + 'n0/0.png 7\n')
    with pytest.raises(error, match=words):
        if fault == 'checkpoint':
            run_stock(monkeypatch, 'mmcls', 'train.py', write(cfg, folder),
                      '--work-dir', folder / 'run')
        else:
            train(monkeypatch, cfg, folder)
    assert not (folder / 'run/results.json').exists()


def test_linear_norm_head():
    init_default_scope('mmcls')
    head = MODELS.build(
        dict(type='LinearNormHead', num_classes=3, in_channels=4))
    head.init_weights()
    assert head.fc.weight.std() < 0.03 and not head.fc.bias.any()
    x = torch.randn(16, 4)
    logits = head((x, ))
    torch.testing.assert_close(logits.mean(0), torch.zeros(3))
    assert sorted(head.state_dict()) == sorted(['fc.weight', 'fc.bias'] + [
        f'fc.bn.{n}' for n in ('weight', 'bias', 'running_mean', 'running_var',
                               'num_batches_tracked')
    ])
