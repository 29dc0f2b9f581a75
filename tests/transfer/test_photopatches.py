"""What pre-training on real pictures is worth to a head."""
import os.path as osp

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from caco_ext.transfer.frozen import FrozenBackbone
from caco_ext.transfer.linear_grid import measure_grid
from tests.helpers import ROOT
from tests.helpers.benchmark_runs import CONFIGS, pretrained

pytestmark = pytest.mark.slow

QUICK_START = osp.join(ROOT, 'configs/selfsup/caco',
                       'caco_resnet18_1xb64-sym-coslr-15e_photopatches.py')
#: A ResNet-18 of a quarter of the widths, and how long it trains.
QUARTER = dict(stem_channels=16, base_channels=16)
EPOCHS = 5


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory):
    """Files of a pre-trained and of a random backbone."""
    folder = tmp_path_factory.mktemp('photopatches')
    cfg = Config.fromfile(QUICK_START)
    cfg.model.backbone.update(QUARTER)
    cfg.model.neck.update(in_channels=128, hid_channels=128)
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.default_hooks.knn = None
    cfg.default_hooks.checkpoint = dict(
        type='ResumableCheckpointHook', interval=EPOCHS)
    cfg.visualizer.vis_backends = [dict(type='LocalVisBackend')]
    cfg.train_cfg.max_epochs = EPOCHS
    cfg.param_scheduler = [
        dict(
            type='CosineAnnealingLR',
            T_max=EPOCHS,
            end=EPOCHS,
            convert_to_iter_based=True)
    ]
    cfg.work_dir = str(folder)
    Runner.from_cfg(cfg).train()
    pretrained(folder / 'random.pth', 18, **QUARTER)
    return [str(folder / f'{n}.pth') for n in (f'epoch_{EPOCHS}', 'random')]


def test_a_head_on_a_pretrained_backbone_beats_one_on_a_random(checkpoints):
    """The same linear layer, each backbone with its best learning rate."""
    init_default_scope('mmcls')
    name = 'classification/imagenet/lineargrid_in1k.py'
    cfg = Config.fromfile(osp.join(CONFIGS, name))
    pictures = dict(
        type='PhotoPatches', pipeline=[cfg.pipeline[0], cfg.pipeline[-1]])
    cfg.train_dataset = dict(split='train', **pictures)
    cfg.test_dataset = dict(split='val', **pictures)
    cfg.update(
        cache=None,
        num_workers=0,
        lrs=[0.03, 0.1, 0.3, 1., 3.],
        probe=dict(epochs=30, batch_size=128))
    top1 = []
    for path in checkpoints:
        backbone = FrozenBackbone(path, cfg.data_preprocessor).eval()
        metrics, more = measure_grid(cfg, backbone)
        assert more['pictures'] == dict(train=2550, test=680)
        top1.append(metrics['top1'])
    # chance is 6 %
    assert top1[0] > top1[1] + 5 > 20, top1
