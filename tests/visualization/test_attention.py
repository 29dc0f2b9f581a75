"""Where networks look, against plain code."""
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from caco_ext.visualization import attention_gallery, look
from caco_ext.visualization.attention_gallery import (_activation_map,
                                                      _activation_rollout,
                                                      _attention_weights,
                                                      _prepare, _square,
                                                      _stage_maps)
from caco_ext.visualization.tiles import heat
from tests.helpers.small_models import build
from tests.helpers.toy_algorithm import ToyAlgorithm

MEAN, STD = (10., 20., 30.), (2., 4., 5.)


def model_of(method):
    """A small model of a method that takes pictures."""
    model = build(method)
    model.data_preprocessor = MODELS.build(
        dict(
            type='mmselfsup.SelfSupDataPreprocessor',
            mean=MEAN,
            std=STD,
            bgr_to_rgb=True))
    return model


def noise(count=2, size=(32, 32)):
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(count)
    ]


def test_activation_is_the_share_in_the_average():
    maps = torch.rand(2, 5, 3, 4)
    active = _activation_map(maps)
    for n in range(2):
        mean = maps[n].flatten(1).mean(1)
        for y in range(3):
            for x in range(4):
                share = maps[n, :, y, x] @ mean / (mean @ mean)
                assert float(active[n, y, x]) == pytest.approx(float(share))
    assert active.mean((1, 2)).tolist() == pytest.approx([1., 1.])


def test_rollout_keeps_what_all_stages_have():
    fine, coarse = torch.full((1, 2, 4, 4), .1), torch.full((1, 3, 2, 2), .1)
    fine[0, :, 0, 0] = fine[0, :, 3, 3] = 1.  # two corners here,
    coarse[0, :, 1, 1] = 1.  # one of them there
    rolled = _activation_rollout([fine, coarse])[0]
    assert rolled.shape == (4, 4)
    assert int(rolled.argmax()) == 15
    assert rolled[3, 3] > rolled[0, 0] > rolled[0, 3]
    # a single stage is its activation, up to its mean
    one = _activation_rollout([coarse])
    torch.testing.assert_close(one, _activation_map(coarse))


def test_pictures_are_normalised_as_in_training():
    picture, = noise(1)
    images = _prepare(model_of('CaCo'), [picture])
    expected = (picture.transpose(2, 0, 1) - np.reshape(MEAN, (3, 1, 1)))
    expected = expected / np.reshape(STD, (3, 1, 1))
    np.testing.assert_allclose(images[0].numpy(), expected, rtol=1e-5)


def test_all_stages_of_a_backbone_that_gives_one():
    model = model_of('CaCo').eval()
    images = torch.rand(1, 3, 32, 32)
    maps = _stage_maps(model.backbone, images)
    assert [m.shape[2] for m in maps] == [8, 4, 2, 1]
    with torch.no_grad():
        torch.testing.assert_close(maps[-1], model.backbone(images)[-1])
    hooked = [m for m in model.modules() if m._forward_hooks]
    assert not hooked
    with pytest.raises(ValueError, match='Flatten gives no feature maps'):
        _stage_maps(nn.Flatten(), images)


def test_attention_of_care_is_that_of_its_blocks():
    model = model_of('CARE').eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        x = model.backbone(images)[-2]
        blocks = model.attention.blocks
        first = blocks[0].attention.weights(blocks[0].relu(
            blocks[0].reduce(x)))
    weights = _attention_weights(model, images, 0)
    torch.testing.assert_close(weights, first)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 4))
    assert _attention_weights(model, images, -1).shape == (2, 2, 1, 1)
    with pytest.raises(ValueError, match='block 2 .* from 0 to 1'):
        _attention_weights(model, images, 2)
    assert _attention_weights(model_of('CaCo'), images, 0) is None


def test_heads_of_care_at_a_place():
    model = model_of('CARE')
    gallery = look(model, noise(3, (40, 64)), place=(0.9, 0.1))
    names = [tile.caption for tile in gallery.rows[0]]
    assert names == [
        'picture', 'activation', 'all stages', 'head 1', 'head 2', 'attended'
    ]
    assert len(gallery.rows) == 3
    # green frames the place: bottom left of two by two
    head = gallery.rows[0][3].picture
    green = (head == (42, 138, 62)).all(2)
    y, x = np.nonzero(green)
    half = head.shape[0] // 2
    assert y.min() >= half - 2 and x.max() <= half + 1 and green.sum() > 100
    with pytest.raises(ValueError, match='leave size out'):
        look(model, noise(1), size=64)


def test_activations_of_small_pictures_have_places(monkeypatch):
    shown = []
    monkeypatch.setattr(
        attention_gallery, '_activation_rollout',
        lambda maps: shown.append(maps[-1]) or _activation_rollout(maps))
    # the attention stack is built for 32 pixels, where the last map is 1 x 1
    look(model_of('CARE'), noise(1, (32, 32)))
    look(model_of('CARE'), noise(1, (32, 32)), size=32)
    assert [last.shape[2:] for last in shown] == [(2, 2), (1, 1)]


def test_equal_numbers_have_one_colour():
    values = np.full((3, 50), 1, np.float32)
    values[1, ::2] += 1e-6
    assert (heat(values) == heat(values * 0)).all()
    values[1, ::2] += 1e-3
    assert len(np.unique(heat(values).reshape(-1, 3), axis=0)) == 2


@pytest.mark.parametrize('method', ['AdCo', 'CLSA', 'CARE'])
def test_looking_changes_nothing(method):
    model = model_of(method)
    model.backbone.conv1.eval()  # a mode of its own
    state = {k: v.clone() for k, v in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    rng = torch.get_rng_state()
    gallery = look(model, noise(2))
    assert len(gallery.rows[0]) == (6 if method == 'CARE' else 3)
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), rng)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_any_algorithm_with_a_backbone():
    gallery = look(ToyAlgorithm(), noise(1, (8, 8)), size=16)
    assert [tile.picture.shape
            for tile in gallery.rows[0]] == 3 * [(160, 160, 3)]


@pytest.mark.parametrize('size', [(30, 50), (50, 30), (7, 7), (33, 31)])
def test_square(size):
    picture = np.zeros((*size, 3), np.uint8)
    picture[size[0] // 2, size[1] // 2] = 255
    out = _square(picture, (20, 20))
    assert out.shape == (20, 20, 3)
    peak = np.unravel_index(out.sum(2).argmax(), (20, 20))
    assert all(abs(p - 10) <= 2 for p in peak)
    assert _square(picture, (16, 24)).shape == (16, 24, 3)
