# Copyright (c) caco_ext authors. All rights reserved.
"""CARE: sizes, routes of the gradient, attention stack."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import caco_ext  # noqa: F401
from caco_ext.models import CARE
from tests.helpers.small_models import build, pictures
from .test_bank_methods import features

CONFIG = (
    Path(__file__).parents[2] /
    'configs/selfsup/care/care_resnet50_8xb128-2view-coslr-100e_in1k.py')


def test_parameter_counts_of_the_original():
    """79,440,448 in the student, 75,221,056 in the teacher."""
    init_default_scope('mmselfsup')
    model = MODELS.build(Config.fromfile(CONFIG).model)
    student = [p for p in model.parameters() if p.requires_grad]
    teacher = [p for p in model.parameters() if not p.requires_grad]
    assert sum(p.numel() for p in student) == 79_440_448
    assert len(student) == 241
    assert sum(p.numel() for p in teacher) == 75_221_056
    attention = sum(p.numel() for p in model.attention.parameters())
    assert attention == 32_813_568


ROUTES = dict(
    loss_cnn={'stem', 'layer4', 'neck', 'predictor'},
    loss_attention={
        'stem', 'attention', 'attention_neck', 'attention_predictor'
    },
    loss_consistency={'stem', 'layer4', 'neck', 'predictor'})


@pytest.mark.parametrize('name', ROUTES)
def test_routes_of_the_gradient(name):
    model = build('CARE')
    losses = model.loss(pictures(2))
    assert not losses['teacher_consistency'].requires_grad
    losses[name].backward()
    parts = dict(
        stem=model.backbone.conv1,
        layer4=model.backbone.layer4,
        neck=model.neck,
        predictor=model.predictor,
        attention=model.attention,
        attention_neck=model.attention_neck,
        attention_predictor=model.attention_predictor)
    reached = {
        part
        for part, module in parts.items()
        if any(p.grad is not None and p.grad.abs().max() > 0
               for p in module.parameters())
    }
    assert reached == ROUTES[name]


def test_loss_is_the_stated_one():
    head = MODELS.build(dict(type='CAREHead', consistency_weight=100.))
    q1, a1, q2, a2, k1, b1, k2, b2 = features(8, 0, dim=256)
    losses = head([(q1, a1), (q2, a2)], [(k1, b1), (k2, b2)],
                  CARE.make_pairs((0, 1), (0, 1)))
    # The second view's student meets the first view's teacher.
    con = (4 - 2 * ((q1 * k2).sum(1) + (q2 * k1).sum(1))).mean()
    con2 = (4 - 2 * ((a1 * b2).sum(1) + (a2 * b1).sum(1))).mean()
    torch.testing.assert_close(losses['loss_cnn'], con)
    torch.testing.assert_close(losses['loss_attention'], con2)
    # The error of unit vectors of 256 channels is (2 - 2 cos) / 256.
    fea = 100 / 256 * sum(
        (2 - 2 * (q * a).sum(1)).mean() for q, a in ((q1, a1), (q2, a2)))
    torch.testing.assert_close(losses['loss_consistency'], fea)


def test_teacher_is_the_student_at_the_start():
    model = build('CARE')
    for name, param in model.key_encoder.named_parameters():
        assert torch.equal(param, model.get_parameter(name)), name


def make_stack(**options):
    torch.manual_seed(0)
    options = dict(
        dict(
            type='AttentionStack',
            in_channels=8,
            out_channels=16,
            num_heads=2,
            head_channels=4,
            num_blocks=2), **options)
    return MODELS.build(options)


@pytest.mark.parametrize('position', ['absolute', 'relative'])
@pytest.mark.parametrize('size', [32, 48, (48, 80), 40])
def test_stack_takes_any_size(position, size):
    stack = make_stack(img_size=size, position=position)
    x = torch.randn(2, 8, *stack.size)
    out = stack(x)
    assert out.shape == (2, 16, *(-(-side // 2) for side in stack.size))
    maps = stack.attention_maps(x)
    places = stack.size[0] * stack.size[1]
    assert maps[0].shape == (2, 2, places, places)
    for one in maps:
        torch.testing.assert_close(one.sum(-1), torch.ones(one.shape[:-1]))


def test_maps_are_those_of_the_forward_pass():
    """Weighted values of the read-out maps give the block's attention."""
    for position in ('absolute', 'relative'):
        attention = make_stack(
            img_size=64, position=position).blocks[0].attention
        x = torch.randn(2, 4, 4, 4)
        value = attention.to_qkv(x).chunk(3, dim=1)[2].flatten(2)
        value = value.unflatten(1, (2, 4))
        out = torch.einsum('nhij,nhcj->nhci', attention.weights(x), value)
        torch.testing.assert_close(
            out.flatten(1, 2).unflatten(2, (4, 4)), attention(x))


def test_relative_position_depends_on_the_distance_alone():
    stack = make_stack(img_size=64, position='relative')
    attention = stack.blocks[0].attention
    # The same vector everywhere: whatever differs is the position's.
    weights = attention.weights(torch.ones(1, 4, 4, 4)).log()
    weights = weights.unflatten(2, (4, 4)).unflatten(4, (4, 4))[0, 0]
    here = weights[1, 1] - weights[1, 1, 1, 1]
    there = weights[2, 2] - weights[2, 2, 2, 2]
    torch.testing.assert_close(here[:3, :3], there[1:, 1:])


def test_stack_refuses():
    with pytest.raises(ValueError, match='img_size=.32, 32.'):
        make_stack(img_size=32)(torch.randn(1, 8, 3, 3))
    with pytest.raises(ValueError, match="position='learned'"):
        make_stack(position='learned')
    with pytest.raises(ValueError, match='norm_cfg='):
        make_stack(norm_cfg=dict(type='GN'))


def test_last_norms_start_at_one_unless_asked():
    for asked in (False, True):
        stack = make_stack(img_size=32, zero_init_residual=asked)
        stack.init_weights()
        for block in stack.blocks:
            wanted = torch.full((16, ), float(not asked))
            assert torch.equal(block.expand.bn.weight, wanted)
