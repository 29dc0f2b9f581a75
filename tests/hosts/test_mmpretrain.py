"""mmpretrain under the names and arguments of mmselfsup."""
import sys

import mmpretrain.registry
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import (HOOKS, MODELS, TRANSFORMS, VISUALIZERS,
                               DefaultScope, init_default_scope)

import caco_ext  # noqa: F401
from caco_ext.compat.mmpretrain_scopes import lend_former_scopes
from tests.helpers import ROOT


@pytest.mark.parametrize('scope', ['mmselfsup', 'mmcls'])
def test_what_is_alike_is_mmpretrains_own(scope):
    own = mmpretrain.registry
    for name in ('LinearClsHead', 'NonLinearNeck', 'SimCLR'):
        assert MODELS.get(f'{scope}.{name}') is own.MODELS.get(name)
    assert HOOKS.get(f'{scope}.SimSiamHook') is own.HOOKS.get('SimSiamHook')
    assert MODELS.get(f'{scope}.Nothing') is None
    with DefaultScope.overwrite_default_scope(scope):
        head = MODELS.build(
            dict(type='LinearClsHead', num_classes=2, in_channels=3))
    assert head.fc.weight.shape == (2, 3)
    # What is mmengine's, or of this package, is found from there too.
    assert HOOKS.get(f'{scope}.IterTimerHook').__module__.startswith('mmeng')
    assert MODELS.get(f'{scope}.CaCo').__module__.startswith('caco_ext')


def test_no_warning_comes_of_the_scope(capfd):
    init_default_scope('mmselfsup')
    MODELS.build(dict(type='mmselfsup.ResNet', depth=18))
    MODELS.build(dict(type='ResNet', depth=18))
    assert 'WARNING' not in ''.join(capfd.readouterr())


def test_stages_are_counted_from_the_stem():
    narrow = dict(depth=18, base_channels=8, stem_channels=8)
    model = MODELS.build(
        dict(type='mmselfsup.ResNet', **narrow, out_indices=[0, 3, 4]))
    other = MODELS.build(
        dict(type='mmpretrain.ResNet', **narrow, out_indices=(2, 3)))
    model.eval(), other.eval()
    other.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, 64, 64)
    stem, *maps = model(images)
    assert stem.shape == (2, 8, 32, 32)
    for ours, theirs in zip(maps, other(images), strict=True):
        assert torch.equal(ours, theirs)
    with pytest.raises(ValueError, match=r'out_indices=\[5\]'):
        MODELS.build(dict(type='mmselfsup.ResNet', depth=18, out_indices=[5]))


def test_momentum_is_the_weight_of_the_old_value():
    init_default_scope('mmselfsup')
    for name, option in (('mocov2', 'momentum'), ('byol', 'base_momentum')):
        cfg = Config.fromfile(ROOT /
                              f'configs/selfsup/baselines/{name}_resnet18_'
                              '1xb64-2view-coslr-15e_photopatches.py')
        model = MODELS.build(cfg.model)
        average = (model.encoder_k if name == 'mocov2' else model.target_net)
        assert average.momentum == pytest.approx(1 - cfg.model[option])


def test_packing_and_normalising():
    pack = TRANSFORMS.build(
        dict(
            type='mmselfsup.PackSelfSupInputs',
            algorithm_keys=['gt_label'],
            meta_keys=['img_path']))
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    packed = pack(dict(img=picture, gt_label=3, img_path='a.png'))
    assert packed['data_samples'].gt_label == 3
    assert packed['data_samples'].img_path == 'a.png'
    assert len(packed['inputs']) == 1
    views = pack(dict(img=[picture, picture], img_path='a.png'))['inputs']
    assert [v.shape for v in views] == [(3, 4, 4), (3, 4, 4)]
    normalise = MODELS.build(
        dict(
            type='mmselfsup.SelfSupDataPreprocessor',
            mean=(1., 2., 3.),
            std=(2., 2., 2.),
            bgr_to_rgb=True))
    batch = dict(inputs=[v[None] for v in views], data_samples=[None])
    images, samples = normalise(batch, True)
    expected = (picture[..., ::-1].astype(np.float32) - [1, 2, 3]) / 2
    assert np.allclose(images[1][0].permute(1, 2, 0), expected)
    assert samples == [None]


def test_configs_of_mmcls_lead_to_mmpretrain():
    cfg = Config.fromfile(ROOT / 'configs/benchmarks/classification/imagenet/'
                          'resnet50_linear-8xb32-coslr-100e_in1k.py')
    init_default_scope(cfg.default_scope)
    assert cfg.default_scope == 'mmpretrain'
    model = MODELS.build(cfg.model)
    assert type(model).__module__.startswith('mmpretrain.')
    assert model.head.num_classes == 1000


def test_it_stands_back_where_mmselfsup_is(monkeypatch):
    from caco_ext.compat import mmpretrain_scopes
    monkeypatch.setattr(mmpretrain_scopes, 'installed_version',
                        lambda name: '1.0.0')
    assert lend_former_scopes() == (False, 'mmselfsup is installed')
    assert 'mmselfsup.registry' in sys.modules  # as it was
    assert VISUALIZERS.get('mmselfsup.SelfSupVisualizer')
