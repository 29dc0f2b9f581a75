"""Every benchmark's model takes the whole backbone of its name."""
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import caco_ext  # noqa: F401  # before anything of a host
from caco_ext.converters.resnet import Architecture
from caco_ext.transfer import find_places, load_pretrained
from tests.helpers.benchmark_runs import NARROW, pretrained

ROOT = Path(__file__).parents[2] / 'configs/benchmarks'
NETWORKS = {
    '50': Architecture(50),
    '101': Architecture(101),
    '152': Architecture(152),
    '50w2': Architecture(50, 128, 2)
}
CONFIGS = sorted(
    str(path.relative_to(ROOT)) for path in ROOT.glob('*/*/*.py')
    if path.parent.name != '_base_'
    and re.search(r'_r(esnet)?\d|^resnet', path.name))


def test_all_depths_of_all_benchmarks_are_there():
    names = [
        re.sub(r'(r(?:esnet)?)(50w2|50|101|152)', r'\1N', c) for c in CONFIGS
    ]
    assert len(CONFIGS) == 4 * len(set(names)) == 56


@pytest.fixture(scope='module')
def wrong(tmp_path_factory):
    """Files that no benchmark may take, and what it has to say of them."""
    folder = tmp_path_factory.mktemp('wrong')
    pretrained(folder / 'depth.pth', 18, **NARROW)
    pretrained(folder / 'right.pth', **NARROW)
    meta, state = torch.load(folder / 'right.pth').values()
    for name, content in (
        ('prefix',
         dict(state_dict={f'online.{k[9:]}': state[k]
                          for k in state})),
        ('key', dict(meta=dict(part='backbone_k'), state_dict=state)),
        ('labels',
         dict(state_dict={
             **state, 'head.fc.weight': torch.zeros(3, 256)
         }))):
        torch.save(content, folder / f'{name}.pth')
    return {
        str(folder / f'{name}.pth'): words
        for name, words in dict(
            depth=r'ResNet-18.* of \d+ keys match; .*missing \(layer',
            prefix="stand behind the prefix 'online.'",
            key='they are those of the key encoder',
            labels='was trained with labels').items()
    }


@pytest.mark.parametrize('group', sorted({Path(c).parent for c in CONFIGS}))
def test_backbones(group, monkeypatch, wrong):
    # drawing weights that nobody looks at would take most of the time
    for layer in (torch.nn.Conv2d, torch.nn.Linear):
        monkeypatch.setattr(layer, 'reset_parameters', lambda self: None)
    for config in CONFIGS:
        if Path(config).parent != group:
            continue
        cfg = Config.fromfile(ROOT / config)
        init_default_scope(cfg.default_scope)
        model = MODELS.build(cfg.model)
        wanted = NETWORKS[re.search(r'r(?:esnet)?(50w2|50|101|152)',
                                    Path(config).name)[1]].shapes()
        found = {
            name: tuple(value.shape)
            for place in find_places(model).values()
            for name, value in place.items()
        }
        assert found == {n: tuple(s) for n, s in wanted.items()}, config
        for path, words in wrong.items():
            with pytest.raises(ValueError, match=words):
                load_pretrained(model, path)
        hooks = cfg.default_hooks
        assert hooks.pretrained.type == 'PretrainedBackboneHook', config
        assert hooks.data_check and hooks.results.task, config
        assert not cfg.model.get('pretrained'), config
        assert 'Pretrained\'' not in str(cfg.model), config
        # colours as the pre-training has them
        pixels = cfg.model.get('data_preprocessor') or cfg.data_preprocessor
        assert list(pixels.mean) == [123.675, 116.28, 103.53], config
        assert list(pixels.std) == [58.395, 57.12, 57.375], config
        assert pixels.get('bgr_to_rgb') or pixels.get('to_rgb'), config


@pytest.mark.parametrize(
    'config, steps, milestones, warm_up, shortest',
    [('coco/mask-rcnn_r50-c4_ms-1x_coco', 12, [8, 11], 500, 640),
     ('coco/mask-rcnn_r50-c4_ms-2x_coco', 24, [16, 22], 1000, 640),
     ('coco/mask-rcnn_r50_fpn_ms-1x_coco', 12, [8, 11], 500, 640),
     ('coco/mask-rcnn_r50_fpn_ms-2x_coco', 24, [16, 22], 1000, 640),
     ('voc0712/faster-rcnn_r50-c4_ms-24k_voc0712', 24000, [18000, 22000
                                                           ], 100, 480)])
def test_detection_as_the_papers_have_it(config, steps, milestones, warm_up,
                                         shortest):
    """The programs' solver, sizes and norms, read from the configs."""
    cfg = Config.fromfile(ROOT / f'mmdetection/{config}.py')
    assert (cfg.train_cfg.get('max_epochs')
            or cfg.train_cfg.max_iters) == steps
    first, second = cfg.param_scheduler
    assert (first.end, second.milestones, second.end) == (warm_up, milestones,
                                                          steps)
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr) == ('SGD', 0.02)
    assert cfg.auto_scale_lr.base_batch_size == 16
    assert cfg.train_dataloader.batch_size * 8 == 16
    dataset = cfg.train_dataloader.dataset
    for part in dataset.get('datasets', [dataset]):
        [resize] = [s for s in part.pipeline if s.type == 'RandomChoiceResize']
        assert [tuple(s) for s in resize.scales
                ] == [(1333, side) for side in range(shortest, 801, 32)]
    assert cfg.val_dataloader.dataset.pipeline[1].scale == (1333, 800)
    backbone = cfg.model.backbone
    assert backbone.norm_cfg.type == 'SyncBN' and not backbone.norm_eval
    assert backbone.frozen_stages == -1 and backbone.style == 'pytorch'
    if '-c4' in config:
        head = cfg.model.roi_head.shared_head
        assert head.type == 'LastStageExtraNorm'
        assert head.norm_cfg.type == 'SyncBN'
        proposals = cfg.model.test_cfg.rpn
        assert (proposals.nms_pre, proposals.max_per_img) == (6000, 1000)
