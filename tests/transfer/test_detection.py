"""Detection benchmarks, small, by the stock trainer of mmdet."""
import json

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from caco_ext.apis import get_model
from caco_ext.transfer import load_pretrained
from tests.helpers.benchmark_data import make_coco, make_voc
from tests.helpers.benchmark_runs import (CONFIGS, NARROW, losses, pretrained,
                                          quick, results, resume, run_stock,
                                          write)

pytestmark = pytest.mark.slow

C4 = 'mmdetection/coco/mask-rcnn_r50-c4_ms-1x_coco.py'
FPN = 'mmdetection/coco/mask-rcnn_r50_fpn_ms-1x_coco.py'
VOC = 'mmdetection/voc0712/faster-rcnn_r50-c4_ms-24k_voc0712.py'
COCO_CLASSES = ('one', 'two', 'three')


def shrink(cfg: Config) -> Config:
    """Small pictures and few regions."""
    quick(cfg)
    for loader in (cfg.train_dataloader, cfg.val_dataloader,
                   cfg.test_dataloader):
        for dataset in loader.dataset.get('datasets', [loader.dataset]):
            for step in dataset.pipeline:
                if 'Resize' in step.type:
                    step.update({
                        'scales' if 'scales' in step else 'scale':
                        [(96, 72)] if 'scales' in step else (96, 72)
                    })
    parts = cfg.model.train_cfg
    parts.rpn.sampler.num = 16
    parts.rpn_proposal.update(nms_pre=100, max_per_img=30)
    parts.rcnn.sampler.num = 8
    cfg.model.test_cfg.rpn.update(nms_pre=100, max_per_img=10)
    # an untrained head is not sure of anything
    cfg.model.test_cfg.rcnn.update(max_per_img=10, score_thr=0.)
    return cfg


def coco(folder, name: str, counts=(4, 2)) -> Config:
    """A COCO benchmark of three classes on small data."""
    make_coco(folder / 'coco', COCO_CLASSES, counts)
    cfg = shrink(Config.fromfile(f'{CONFIGS}/{name}'))
    root = f'{folder}/coco/'
    for loader in (cfg.train_dataloader, cfg.val_dataloader,
                   cfg.test_dataloader):
        loader.dataset.update(
            data_root=root, metainfo=dict(classes=COCO_CLASSES))
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        evaluator.ann_file = f'{root}annotations/instances_val2017.json'
        evaluator.outfile_prefix = f'{folder}/predictions'
    cfg.model.roi_head.bbox_head.num_classes = 3
    cfg.model.roi_head.mask_head.num_classes = 3
    cfg.param_scheduler = []
    return cfg


def narrow(cfg: Config) -> Config:
    """A C4 detector of an eighth of the widths, which takes a tenth of the
    time."""
    cfg.model.backbone.update(NARROW)
    cfg.model.rpn_head.update(in_channels=128, feat_channels=16)
    cfg.model.roi_head.shared_head = dict(
        type='LastStageExtraNorm', depth=50, base_channels=8)
    cfg.model.roi_head.bbox_roi_extractor.out_channels = 128
    for name in ('bbox_head', 'mask_head'):
        if name in cfg.model.roi_head:
            cfg.model.roi_head[name].in_channels = 256
    return cfg


def test_c4_on_coco(tmp_path, monkeypatch):
    """Train, evaluate and resume; figures as pycocotools has them."""
    weights = pretrained(tmp_path / 'a.pth', **NARROW)
    cfg = narrow(coco(tmp_path, C4))
    cfg.train_cfg.update(max_epochs=15, val_interval=15)
    # so small a network needs another optimizer to find anything in 30 steps
    cfg.optim_wrapper.optimizer = dict(type='Adam', lr=2e-3)
    cfg.log_processor.window_size = 1
    config = write(cfg, tmp_path)
    work = tmp_path / 'run'
    arguments = (config, '--work-dir', work, '--cfg-options',
                 f'default_hooks.pretrained.checkpoint={tmp_path}/a.pth')
    run_stock(monkeypatch, 'mmdet', 'train.py', *arguments)
    values = losses(work)
    assert len(values) == 30 and sum(values[-4:]) < 0.7 * sum(values[:4])
    found = results(work)
    assert found['task'] == 'detection_coco' and found['seed'] == 0
    assert found['checkpoint']['matched'] == {
        'model.backbone': 258,
        'model.roi_head.shared_head': 60
    }
    check_with_pycocotools(tmp_path, found['metrics'])
    # the weights have moved on from those of the checkpoint
    state = torch.load(work / 'epoch_15.pth')['state_dict']
    name = 'layer4.2.conv3.weight'
    assert not torch.equal(state[f'roi_head.shared_head.{name}'],
                           weights[name])

    assert resume(monkeypatch, 'mmdet', config, work,
                  'train_cfg.max_epochs=16',
                  'train_cfg.val_interval=1') == [30, 32]


def check_with_pycocotools(folder, metrics) -> None:
    """The figures equal those of pycocotools, called directly."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
    truth = COCO(str(folder / 'coco/annotations/instances_val2017.json'))
    for kind in ('bbox', 'segm'):
        found = json.loads((folder / f'predictions.{kind}.json').read_text())
        assert len(found) > 2
        evaluation = COCOeval(truth, truth.loadRes(found), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        for index, name in ((0, 'mAP'), (1, 'mAP_50'), (2, 'mAP_75')):
            assert metrics[f'coco/{kind}_{name}'] == pytest.approx(
                evaluation.stats[index], abs=6e-4)


def test_full_width_stage_4_and_shared_head(tmp_path):
    """The host's shared head has the checkpoint's stage 4 to the bit."""
    weights = pretrained(tmp_path / 'a.pth')
    cfg = Config.fromfile(f'{CONFIGS}/{C4}')
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)
    model.init_weights()
    load_pretrained(model, str(tmp_path / 'a.pth'))
    backbone = model.backbone.state_dict()
    head = model.roi_head.shared_head.state_dict()
    for name, value in weights.items():
        place = head if name.startswith('layer4.') else backbone
        assert torch.equal(place[name], value), name
    assert set(head) - set(weights) == {
        f'norm.{n}'
        for n in ('weight', 'bias', 'running_mean', 'running_var',
                  'num_batches_tracked')
    }
    # and goes through forward with them
    model.eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        maps = model.backbone(x)[0]
        out = model.roi_head.shared_head.layer4(maps)
        whole = get_model(str(tmp_path / 'a.pth'))(x)[-1]
    assert maps.shape == (1, 1024, 4, 4)
    torch.testing.assert_close(out, whole)


def test_fpn_on_coco(tmp_path, monkeypatch):
    pretrained(tmp_path / 'a.pth', **NARROW)
    cfg = coco(tmp_path, FPN)
    cfg.model.backbone.update(NARROW)
    cfg.model.neck.update(in_channels=[32, 64, 128, 256], out_channels=16)
    cfg.model.rpn_head.update(in_channels=16, feat_channels=16)
    head = cfg.model.roi_head
    head.bbox_roi_extractor.out_channels = 16
    head.mask_roi_extractor.out_channels = 16
    head.bbox_head.update(
        in_channels=16, conv_out_channels=16, fc_out_channels=32)
    head.mask_head.update(in_channels=16, conv_out_channels=16)
    cfg.train_cfg.max_epochs = 1
    config = write(cfg, tmp_path)
    work = tmp_path / 'run'
    run_stock(monkeypatch, 'mmdet', 'train.py', config, '--work-dir', work,
              '--cfg-options',
              f'default_hooks.pretrained.checkpoint={tmp_path}/a.pth')
    found = results(work)
    assert found['checkpoint']['matched'] == {'model.backbone': 318}
    assert 'coco/segm_mAP' in found['metrics']
    assert resume(monkeypatch, 'mmdet', config, work,
                  'train_cfg.max_epochs=2') == [2, 4]


def test_c4_on_voc(tmp_path, monkeypatch):
    """Both years train, VOC's and COCO's figures come out."""
    pretrained(tmp_path / 'a.pth', **NARROW)
    make_voc(tmp_path / 'VOCdevkit', 2)
    cfg = narrow(shrink(Config.fromfile(f'{CONFIGS}/{VOC}')))
    for dataset in (*cfg.train_dataloader.dataset.datasets,
                    cfg.val_dataloader.dataset, cfg.test_dataloader.dataset):
        dataset.data_root = f'{tmp_path}/VOCdevkit/'
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.default_hooks.checkpoint.interval = 2
    config = write(cfg, tmp_path)
    work = tmp_path / 'run'
    run_stock(monkeypatch, 'mmdet', 'train.py', config, '--work-dir', work,
              '--cfg-options',
              f'default_hooks.pretrained.checkpoint={tmp_path}/a.pth')
    metrics = results(work)['metrics']
    assert {f'pascal_voc/{n}'
            for n in ('mAP', 'AP50', 'AP75')
            } | {f'coco/bbox_{n}'
                 for n in ('mAP', 'mAP_50', 'mAP_75')} <= set(metrics)
    assert resume(monkeypatch, 'mmdet', config, work, 'train_cfg.max_iters=3',
                  'train_cfg.val_interval=1') == [2, 3]


@pytest.mark.parametrize('fault, error, words', [
    ('annotation', FileNotFoundError, 'instances_train2017.json'),
    ('picture', FileNotFoundError, '000000000001.jpg'),
    ('names', ValueError, 'has 3 of the 4 classes'),
])
def test_bad_data_is_found_before_training(tmp_path, monkeypatch, fault, error,
                                           words):
    pretrained(tmp_path / 'a.pth', **NARROW)
    cfg = narrow(coco(tmp_path, C4))
    if fault == 'annotation':
        (tmp_path / 'coco/annotations/instances_train2017.json').unlink()
    elif fault == 'picture':
        (tmp_path / 'coco/train2017/000000000001.jpg').unlink()
    else:
        cfg.train_dataloader.dataset.metainfo = dict(
            classes=(*COCO_CLASSES, 'four'))
        cfg.model.roi_head.bbox_head.num_classes = 4
        cfg.model.roi_head.mask_head.num_classes = 4
    with pytest.raises(error, match=words):
        run_stock(monkeypatch, 'mmdet', 'train.py', write(cfg, tmp_path),
                  '--work-dir', tmp_path / 'run', '--cfg-options',
                  f'default_hooks.pretrained.checkpoint={tmp_path}/a.pth')
    assert not list((tmp_path / 'run').glob('*.pth'))


def test_a_wrong_checkpoint_is_refused(tmp_path, monkeypatch):
    pretrained(tmp_path / 'wrong.pth', 18)
    with pytest.raises(ValueError, match='of 318 keys match'):
        run_stock(monkeypatch, 'mmdet', 'train.py',
                  write(narrow(coco(tmp_path, C4)), tmp_path), '--work-dir',
                  tmp_path / 'run', '--cfg-options',
                  f'default_hooks.pretrained.checkpoint={tmp_path}/wrong.pth')
