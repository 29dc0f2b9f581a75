"""Colour steps: odds, back ends, refusals; see test_laws.py for more."""
import random

import cv2
import numpy as np
import pytest

from caco_ext.datasets import (ViewColorJitter, ViewFlip, ViewGaussianBlur,
                               ViewRandomGrayscale, ViewSolarize,
                               photo_patches)
from caco_ext.datasets.transforms import fast_ops, pillow_ops

PHOTO = next(photo_patches.photographs())[1].resize((96, 80))
BGR = np.ascontiguousarray(np.asarray(PHOTO)[..., ::-1])


@pytest.mark.parametrize('backend, ops', [('fast', fast_ops),
                                          ('pillow', pillow_ops)])
def test_jitter_applies_its_steps(monkeypatch, backend, ops):
    jitter = ViewColorJitter(prob=1., backend=backend)
    plan = [('hue', .1), ('brightness', .7)]
    monkeypatch.setattr(jitter, 'draw', lambda: plan)
    expected = ops.run(ops.run(BGR, plan[:1]), plan[1:])
    assert np.array_equal(jitter(dict(img=BGR))['img'], expected)


@pytest.mark.parametrize(
    'kind', [ViewColorJitter, ViewRandomGrayscale, ViewGaussianBlur, ViewFlip])
def test_draws_do_not_depend_on_the_backend(kind):
    states = []
    for backend in ('fast', 'pillow'):
        random.seed(3)
        step = kind(backend=backend)
        for _ in range(20):
            step(dict(img=BGR[:8, :8]))
        states.append(random.getstate())
    assert states[0] == states[1]


@pytest.mark.parametrize('transform', [
    ViewColorJitter(prob=.3),
    ViewRandomGrayscale(prob=.3),
    ViewGaussianBlur(sigma=(1., 2.), prob=.3),
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
    (lambda: ViewColorJitter(brightness=-1), 'brightness'),
    (lambda: ViewColorJitter(hue=.6), 'hue'),
    (lambda: ViewColorJitter(prob=1.1), 'prob'),
    (lambda: ViewGaussianBlur(sigma=(2., 1.)), 'sigma'),
    (lambda: ViewRandomGrayscale(prob=-1), 'prob'),
    (lambda: ViewRandomGrayscale(backend='PIL'), "fast, pillow, got 'PIL'"),
])
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
