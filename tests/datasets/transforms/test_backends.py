"""Steps on OpenCV and on batches of tensors against torchvision on PIL, which
defines them."""
import random

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as tv

from caco_ext.datasets import ViewColorJitter, photo_patches
from caco_ext.datasets.transforms import (device_ops, fast_ops, pillow_ops,
                                          strong_ops)
from caco_ext.datasets.transforms.pil_bridge import to_bgr

PHOTOS = [
    to_bgr(picture.resize((120, 100), Image.BILINEAR))
    for _, picture in photo_patches.photographs()
]
BATCH = torch.from_numpy(np.stack(PHOTOS)).permute(0, 3, 1, 2)
FACTORS = (0., .6, .9, 1., 1.4)
# levels of 255: the mean over all photographs with OpenCV, the largest at any
# pixel; the mean with tensors
CASES = {
    'brightness': (FACTORS, .01, 1, .01),
    'contrast': (FACTORS, .02, 1, .02),
    'saturation': (FACTORS, .6, 1, .01),
    'hue': ((-.5, -.1, -.03, 0., .05, .1, .25, .5), .5, 12, .5),
    'grey': ((1., ), .01, 1, .01),
    'blur': ((.1, .3, .6, 1., 1.5, 2.), .7, 28, .7),
    'solarize': ((0, 77, 128, 256), 0, 0, 0),
    'flip': ((1., ), 0, 0, 0),
}


def gaps(img, expected):
    """Absolute differences in levels, as float."""
    return np.abs(img.astype(float) - expected)


def both(img, plan):
    return fast_ops.run(img, plan), pillow_ops.run(img, plan)


def means(plans, reference=pillow_ops.run):
    """Mean difference of each photograph of the batch, in levels."""
    out = device_ops.run(BATCH, plans).permute(0, 2, 3, 1).numpy()
    return np.array([
        gaps(own, reference(img, plan)).mean()
        for own, img, plan in zip(out, PHOTOS, plans)
    ])


@pytest.mark.parametrize('name', CASES)
def test_step_equals_the_reference(name):
    values, mean, most, mean_of_tensors = CASES[name]
    for value in values:
        found = [gaps(*both(img, [(name, value)])) for img in PHOTOS]
        assert np.mean(found) <= mean, value
        assert max(gap.max() for gap in found) <= most, value
        # no single photograph is off by a level
        assert max(gap.mean() for gap in found) <= 1, value
        found = means([[(name, value)]] * len(PHOTOS))
        assert found.mean() <= mean_of_tensors and found.max() <= 1, value
    # each picture of a batch may have a value of its own
    plans = [[(name, values[i % len(values)])] for i in range(len(PHOTOS))]
    assert means(plans).mean() <= mean_of_tensors


@pytest.mark.parametrize('name', strong_ops.OPS)
def test_strong_operation_on_tensors_equals_the_reference(name):
    for negative in {False, name in strong_ops.SIGNED_OPS}:
        plans = [[(name, i % 11, negative)] for i in range(len(PHOTOS))]
        found = means(plans, strong_ops.run)
        assert found.mean() <= .1 and found.max() <= 1


def test_all_steps_are_covered():
    assert set(CASES) == set(pillow_ops.OPS)
    assert set(CASES) == set(fast_ops.OPS) | fast_ops.BLENDS
    assert set(device_ops.OPS) == set(pillow_ops.OPS) | set(strong_ops.OPS)


def test_plans_of_different_length_and_order():
    plans = [[], [('flip', 1.)], [('hue', .1), ('grey', 1.)],
             [('grey', 1.), ('hue', .1), ('flip', 1.)]]
    plans = [plans[i % 4] for i in range(len(PHOTOS))]
    before = BATCH.clone()
    assert means(plans).max() < 1
    assert torch.equal(BATCH, before)
    with pytest.raises(ValueError, match='2 plans do not fit 17'):
        device_ops.run(BATCH, [[], []])


@pytest.mark.parametrize('shift', [-.1, -.03, .05, .1, .5])
def test_hue_of_small_pictures(shift):
    for img in PHOTOS:
        small = np.ascontiguousarray(img[:90, :90])
        gap = gaps(*both(small, [('hue', shift)]))
        assert gap.max() <= 16 and gap.mean() < 1.5


def test_steps_change_the_picture_by_more():
    for name, value in (('brightness', .6), ('contrast', .6),
                        ('saturation', .6), ('hue', .1), ('blur', 1.)):
        changed = [
            gaps(img, fast_ops.run(img, [(name, value)])) for img in PHOTOS
        ]
        assert np.mean(changed) > 2


def test_whole_jitter_equals_the_reference():
    random.seed(0)
    jitter = ViewColorJitter()
    found = [
        gaps(*both(img, jitter.draw())).mean() for _ in range(6)
        for img in PHOTOS
    ]
    # four steps that each round, in another way
    assert np.mean(found) < .6 and max(found) < 2


@pytest.mark.parametrize('plan', [
    [('brightness', .7), ('contrast', .8), ('saturation', .9)],
    [('saturation', .7), ('brightness', .9), ('contrast', 1.3)],
    [('contrast', .7), ('saturation', 1.4), ('brightness', .8)],
    [('brightness', 1.4), ('contrast', .6), ('saturation', 1.2)],
])
def test_several_in_one_pass_equal_one_by_one(plan):
    found = []
    for img in PHOTOS:
        single = img
        for step in plan:
            single = fast_ops.run(single, [step])
        found.append(gaps(fast_ops.run(img, plan), single))
        assert found[-1].max() <= 2
    assert np.mean(found) < .5


def test_what_overflows_is_cut_off_in_between(monkeypatch):
    bright = np.full((4, 4, 3), 250, np.uint8)
    out = fast_ops.run(bright, [('brightness', 1.4), ('brightness', .5)])
    assert np.abs(out.astype(int) - 127).max() <= 1
    # two passes where the first may overflow, else one
    calls = []
    for name in ('convertScaleAbs', 'addWeighted'):
        real = getattr(fast_ops.cv2, name)
        monkeypatch.setattr(
            fast_ops.cv2,
            name,
            lambda *a, real=real, **k: calls.append(k) or real(*a, **k))
    fast_ops.run(bright, [('brightness', .7), ('brightness', .5)])
    assert len(calls) == 1
    fast_ops.run(bright, [('brightness', 1.4), ('brightness', .5)])
    assert len(calls) == 3


def test_greys_have_no_hue():
    img = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
    assert np.array_equal(fast_ops.turn_hue(img, .1), img)


def test_hue_of_pure_colours():
    red = np.full((100, 100, 3), (0, 0, 240), np.uint8)
    # a third of the circle: red to green; a sixth: yellow
    assert (fast_ops.turn_hue(red, 1 / 3) == (0, 240, 0)).all()
    assert (fast_ops.turn_hue(red, -1 / 3) == (240, 0, 0)).all()
    blue, green, full = fast_ops.turn_hue(red, 1 / 6)[0, 0].tolist()
    assert blue == 0 and full == 240 and abs(green - 240) < 8


def test_inputs_are_not_written_into():
    img = PHOTOS[0].copy()
    img.flags.writeable = False
    for name, (values, *_) in CASES.items():
        for value in values:
            fast_ops.run(img, [(name, value)])
    assert np.array_equal(img, PHOTOS[0])


@pytest.mark.parametrize('sigma', [.1, .5, 1.3, 2., 7.])
def test_blur_kernel_has_the_variance(sigma):
    kernel = fast_ops.blur_kernel(sigma)
    place = np.arange(len(kernel)) - len(kernel) // 2
    assert kernel.sum() == pytest.approx(1)
    assert (kernel * place**2).sum() == pytest.approx(sigma**2, rel=1e-5)
    short = fast_ops.short_kernel(sigma)
    assert short.sum() == pytest.approx(1) and len(short) % 2
    assert len(short) <= len(kernel) and short.min() >= .005


def test_pillow_backend_is_torchvision():
    picture = Image.fromarray(np.ascontiguousarray(PHOTOS[2][..., ::-1]))
    expected = tv.adjust_hue(tv.adjust_contrast(picture, 1.2), -.07)
    out = pillow_ops.run(PHOTOS[2], [('contrast', 1.2), ('hue', -.07)])
    assert np.array_equal(out[..., ::-1], np.asarray(expected))
