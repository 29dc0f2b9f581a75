"""Colour steps against torchvision and PIL, which define them."""
import random

import cv2
import numpy as np
import pytest
from PIL import ImageFilter, ImageOps
from torchvision.transforms import functional as tv

from caco_ext.datasets import (ViewBlur, ViewGray, ViewJitter, ViewSolarize,
                               photo_patches)
from caco_ext.datasets.transforms import color

PHOTO = next(photo_patches.photographs())[1].resize((96, 80))
BGR = np.ascontiguousarray(np.asarray(PHOTO)[..., ::-1])


def difference(img, picture):
    """Absolute differences of a BGR array and an RGB picture, as float."""
    return np.abs(img[..., ::-1].astype(float) - np.asarray(picture))


@pytest.mark.parametrize('factor', [0., .6, 1., 1.4])
@pytest.mark.parametrize('name', ['brightness', 'contrast', 'saturation'])
def test_factors_equal_torchvision(name, factor):
    img = getattr(color, f'adjust_{name}')(BGR, factor)
    gap = difference(img, getattr(tv, f'adjust_{name}')(PHOTO, factor))
    assert gap.max() <= 1 and gap.mean() < .02


@pytest.mark.parametrize('shift', [-.1, -.03, .05, .1, .5])
def test_hue_equals_torchvision(shift):
    gap = difference(color.adjust_hue(BGR, shift), tv.adjust_hue(PHOTO, shift))
    assert gap.max() <= 16 and gap.mean() < 1.5
    # the step itself changes the picture by far more
    assert difference(BGR, tv.adjust_hue(PHOTO, shift)).max() > 16


@pytest.mark.parametrize('sigma', [.1, .4, 1., 1.5, 2.])
def test_blur_equals_pil(sigma):
    expected = PHOTO.filter(ImageFilter.GaussianBlur(sigma))
    gap = difference(color.blur(BGR, sigma), expected)
    assert gap[4:-4, 4:-4].max() <= 3 and gap.mean() < 1


@pytest.mark.parametrize('sigma', [.1, .5, 1.3, 2., 7.])
def test_blur_kernel_has_the_variance(sigma):
    kernel = color.blur_kernel(sigma)
    place = np.arange(len(kernel)) - len(kernel) // 2
    assert kernel.sum() == pytest.approx(1)
    assert (kernel * place**2).sum() == pytest.approx(sigma**2, rel=1e-5)


def test_gray_has_the_weights_of_pil():
    img = ViewGray(prob=1.)(dict(img=BGR))['img']
    assert img.shape == BGR.shape
    gap = difference(img, PHOTO.convert('L').convert('RGB'))
    assert gap.max() <= 1 and gap.mean() < .01


@pytest.mark.parametrize('threshold', [128, 77])
def test_solarize_equals_pil(threshold):
    img = ViewSolarize(threshold, prob=1.)(dict(img=BGR))['img']
    assert difference(img, ImageOps.solarize(PHOTO, threshold)).max() == 0


def test_jitter_draws_factors_and_order():
    random.seed(0)
    jitter = ViewJitter(.4, .3, .2, .1)
    plans = [jitter.draw() for _ in range(2000)]
    first = [plan[0][0] for plan in plans]
    ranges = dict(
        adjust_brightness=(.6, 1.4),
        adjust_contrast=(.7, 1.3),
        adjust_saturation=(.8, 1.2),
        adjust_hue=(-.1, .1))
    for step in color._STEPS:
        assert 400 < first.count(step) < 600
        values = [value for plan in plans for s, value in plan if s is step]
        low, high = ranges[step.__name__]
        assert len(values) == 2000
        assert low <= min(values) < low + .01 * (high - low) + 1e-3
        assert high >= max(values) > high - .01 * (high - low) - 1e-3
    assert len(ViewJitter(.4, 0, .4, 0).draw()) == 2


def test_jitter_applies_its_steps(monkeypatch):
    jitter = ViewJitter(prob=1.)
    plan = [(color.adjust_hue, .1), (color.adjust_brightness, .7)]
    monkeypatch.setattr(jitter, 'draw', lambda: plan)
    expected = color.adjust_brightness(color.adjust_hue(BGR, .1), .7)
    assert np.array_equal(jitter(dict(img=BGR))['img'], expected)


@pytest.mark.parametrize('transform', [
    ViewJitter(prob=.3),
    ViewGray(prob=.3),
    ViewBlur(sigma=(1., 2.), prob=.3),
    ViewSolarize(prob=.3)
])
def test_probability(transform):
    random.seed(1)
    small = cv2.resize(BGR, (16, 16))
    small.flags.writeable = False  # no step may write into its input
    changed = [
        not np.array_equal(transform(dict(img=small))['img'], small)
        for _ in range(2000)
    ]
    assert .26 < np.mean(changed) < .34


@pytest.mark.parametrize('make, message', [
    (lambda: ViewJitter(brightness=-1), 'brightness'),
    (lambda: ViewJitter(hue=.6), 'hue'),
    (lambda: ViewJitter(prob=1.1), 'prob'),
    (lambda: ViewBlur(sigma=(2., 1.)), 'sigma'),
    (lambda: ViewGray(prob=-1), 'prob'),
])
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
