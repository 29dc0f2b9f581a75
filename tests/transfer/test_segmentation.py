"""Segmentation benchmarks, small, by the stock trainer of mmseg."""
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from caco_ext.transfer.data_check_hook import (check_classes, check_items,
                                               check_masks)
from tests.helpers.benchmark_data import make_cityscapes, make_voc
from tests.helpers.benchmark_runs import (CONFIGS, NARROW, losses, pretrained,
                                          quick, results, resume, run_stock,
                                          write)

pytestmark = pytest.mark.slow

VOC = 'mmsegmentation/voc12aug/fcn_r50-d8_4xb4-20k_voc12aug-512x512.py'
CITY = 'mmsegmentation/cityscapes/fcn_r50-d8_4xb2-40k_cityscapes-769x769.py'


def shrink(cfg: Config) -> Config:
    """Small pictures, an eighth of the widths."""
    quick(cfg)
    loader = cfg.train_dataloader
    for dataset in (*loader.dataset.get('datasets', [loader.dataset]),
                    cfg.val_dataloader.dataset, cfg.test_dataloader.dataset):
        for step in dataset.pipeline:
            if 'Resize' in step.type:
                step.scale = (128, 64)
            if 'crop_size' in step:
                step.crop_size = (48, 48)
            if step.type == 'Pad':
                step.size = (48, 48)
    model = cfg.model
    model.data_preprocessor.size = (48, 48)
    model.backbone.update(NARROW)
    model.decode_head.update(in_channels=256, channels=16)
    model.auxiliary_head.update(in_channels=128, channels=16)
    if model.test_cfg.mode == 'slide':
        model.test_cfg.update(crop_size=(48, 48), stride=(32, 32))
    cfg.param_scheduler = []
    cfg.log_processor.window_size = 1
    return cfg


def voc(folder, count: int = 4) -> Config:
    """VOC12aug on small data."""
    make_voc(folder / 'VOCdevkit', count)
    cfg = shrink(Config.fromfile(f'{CONFIGS}/{VOC}'))
    for dataset in (*cfg.train_dataloader.dataset.datasets,
                    cfg.val_dataloader.dataset, cfg.test_dataloader.dataset):
        dataset.data_root = f'{folder}/VOCdevkit/VOC2012'
    return cfg


def train(monkeypatch, cfg, folder, checkpoint, *options):
    """Train in ``folder/run``."""
    run_stock(monkeypatch, 'mmseg', 'train.py', write(cfg, folder),
              '--work-dir', folder / 'run', *options, '--cfg-options',
              f'default_hooks.pretrained.checkpoint={checkpoint}')


def test_voc12aug(tmp_path, monkeypatch):
    """Train, evaluate against plain counting, and resume."""
    pretrained(tmp_path / 'a.pth', **NARROW)
    cfg = voc(tmp_path)
    cfg.train_cfg.update(max_iters=20, val_interval=20)
    cfg.default_hooks.checkpoint.interval = 20
    cfg.optim_wrapper.optimizer.lr = 0.05
    cfg.val_evaluator.output_dir = f'{tmp_path}/maps'
    train(monkeypatch, cfg, tmp_path, tmp_path / 'a.pth')
    values = losses(tmp_path / 'run')
    assert len(values) == 20 and sum(values[-5:]) < 0.7 * sum(values[:5])
    found = results(tmp_path / 'run')
    assert found['checkpoint']['matched'] == {'model.backbone': 318}
    assert found['metrics']['mIoU'] == pytest.approx(
        mean_iou(tmp_path), abs=0.01)
    assert resume(monkeypatch, 'mmseg', str(tmp_path / 'tiny.py'),
                  tmp_path / 'run', 'train_cfg.max_iters=21',
                  'train_cfg.val_interval=1') == [20, 21]


def mean_iou(folder, count: int = 4) -> float:
    """Counted from the predicted maps, per cent."""
    pairs = []
    for path in sorted((folder / 'maps').glob('*.png')):
        truth = (folder / 'VOCdevkit/VOC2012/SegmentationClass' / path.name)
        pairs.append((np.array(Image.open(path)), np.array(Image.open(truth))))
    assert len(pairs) == count
    found, truth = (
        np.concatenate([p[i].ravel() for p in pairs]) for i in (0, 1))
    ious = []
    for label in range(21):
        union = ((found == label) | (truth == label)).sum()
        if union:
            ious.append(((found == label) & (truth == label)).sum() / union)
    return 100 * float(np.mean(ious))


def test_cityscapes(tmp_path, monkeypatch):
    weights = pretrained(tmp_path / 'a.pth', **NARROW)
    make_cityscapes(tmp_path / 'cityscapes')
    cfg = shrink(Config.fromfile(f'{CONFIGS}/{CITY}'))
    for loader in (cfg.train_dataloader, cfg.val_dataloader,
                   cfg.test_dataloader):
        loader.dataset.data_root = f'{tmp_path}/cityscapes'
    cfg.train_cfg.update(max_iters=1, val_interval=1)
    cfg.default_hooks.checkpoint.interval = 1
    # so that the step changes nothing, and the loaded weights can be seen
    cfg.optim_wrapper.optimizer.update(lr=0., weight_decay=0.)
    train(monkeypatch, cfg, tmp_path, tmp_path / 'a.pth')
    assert 'mIoU' in results(tmp_path / 'run')['metrics']
    assert resume(monkeypatch, 'mmseg', str(tmp_path / 'tiny.py'),
                  tmp_path / 'run', 'train_cfg.max_iters=2') == [1, 2]
    state = torch.load(tmp_path / 'run/iter_2.pth')['state_dict']
    for name, value in weights.items():
        if 'running' not in name and 'tracked' not in name:
            assert torch.equal(state[f'backbone.{name}'], value), name


def test_the_hosts_other_stem_is_refused(tmp_path, monkeypatch):
    """The host's benchmark config would leave it random."""
    pretrained(tmp_path / 'a.pth', **NARROW)
    cfg = voc(tmp_path)
    cfg.model.backbone.type = 'ResNetV1c'
    with pytest.raises(ValueError, match=r'missing \(stem\.0\.weight'):
        train(monkeypatch, cfg, tmp_path, tmp_path / 'a.pth')


def test_a_missing_mask_is_found_before_training(tmp_path, monkeypatch):
    pretrained(tmp_path / 'a.pth', **NARROW)
    cfg = voc(tmp_path)
    name = '12_train_001.png'
    (tmp_path / 'VOCdevkit/VOC2012/SegmentationClassAug' / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        train(monkeypatch, cfg, tmp_path, tmp_path / 'a.pth')
    assert not list((tmp_path / 'run').glob('*.pth'))


def test_a_missing_folder_is_named(tmp_path, monkeypatch):
    pretrained(tmp_path / 'a.pth', **NARROW)
    cfg = voc(tmp_path)
    (tmp_path / 'VOCdevkit/VOC2012/JPEGImages').rename(tmp_path / 'elsewhere')
    with pytest.raises(FileNotFoundError, match="no folder '.*JPEGImages/?'"):
        train(monkeypatch, cfg, tmp_path, tmp_path / 'a.pth')


def test_bad_data(tmp_path):
    cfg = voc(tmp_path)
    init_default_scope('mmseg')
    root = tmp_path / 'VOCdevkit/VOC2012'
    options = cfg.train_dataloader.dataset.datasets[1]
    dataset = DATASETS.build(options)
    heads = [('model.decode_head', 21)]
    check_classes(dataset, heads, 'train')
    check_items(dataset, heads, 'train', {})
    check_masks(dataset, 'train')
    with pytest.raises(ValueError, match='decode_head.num_classes is 19'):
        check_classes(dataset, [('model.decode_head', 19)], 'train')
    mask = root / 'SegmentationClassAug/12_train_001.png'
    Image.fromarray(np.full((96, 128), 30, np.uint8)).save(mask)
    with pytest.raises(ValueError, match='001.png has the labels 30, and'):
        check_masks(dataset, 'train')
    Image.fromarray(np.zeros((96, 128, 3), np.uint8)).save(mask)
    with pytest.raises(ValueError, match='001.png is a picture of colours'):
        check_masks(dataset, 'train')
    (root / 'JPEGImages/12_train_001.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='12_train_001.jpg'):
        check_items(dataset, heads, 'train', {})
    (root / 'ImageSets/Segmentation/aug.txt').unlink()
    with pytest.raises(AssertionError, match='Segmentation/aug.txt'):
        DATASETS.build(options)
