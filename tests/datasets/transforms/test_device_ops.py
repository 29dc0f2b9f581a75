"""Steps on batches of tensors against torchvision on PIL."""
import numpy as np
import pytest
import torch
from PIL import Image

from caco_ext.datasets import photo_patches
from caco_ext.datasets.transforms import device_ops, pillow_ops, strong_ops
from caco_ext.datasets.transforms.pil_bridge import to_bgr

PHOTOS = [
    to_bgr(picture.resize((96, 80), Image.BILINEAR))
    for _, picture in photo_patches.photographs()
]
BATCH = torch.from_numpy(np.stack(PHOTOS)).permute(0, 3, 1, 2)
# levels of 255: the mean over all photographs
CASES = {
    'brightness': ((0., .6, 1., 1.4), .01),
    'contrast': ((0., .6, 1., 1.4), .02),
    'saturation': ((0., .6, 1., 1.4), .01),
    'hue': ((-.5, -.1, -.03, 0., .05, .1, .25), .5),
    'grey': ((1., ), .01),
    'blur': ((.1, .3, 1., 1.5, 2.), .7),
    'solarize': ((0, 77, 128, 256), 0),
    'flip': ((1., ), 0),
}


def means(plans, reference):
    """Mean difference of each photograph, in levels."""
    out = device_ops.run(BATCH, plans).permute(0, 2, 3, 1).numpy()
    return np.array([
        np.abs(own - reference(img, plan).astype(float)).mean()
        for own, img, plan in zip(out, PHOTOS, plans)
    ])


@pytest.mark.parametrize('name', CASES)
def test_step_equals_the_reference(name):
    values, mean = CASES[name]
    for value in values:
        found = means([[(name, value)]] * len(PHOTOS), pillow_ops.run)
        assert found.mean() <= mean and found.max() <= 1, value


@pytest.mark.parametrize('name', CASES)
def test_each_picture_has_its_own_value(name):
    values, mean = CASES[name]
    plans = [[(name, values[i % len(values)])] for i in range(len(PHOTOS))]
    assert means(plans, pillow_ops.run).mean() <= mean


@pytest.mark.parametrize('name', strong_ops.OPS)
def test_strong_operation_equals_the_reference(name):
    for negative in {False, name in strong_ops.SIGNED_OPS}:
        plans = [[(name, i % 11, negative)] for i in range(len(PHOTOS))]
        found = means(plans, strong_ops.run)
        assert found.mean() <= .1 and found.max() <= 1


def test_plans_of_different_length_and_order():
    plans = [[], [('flip', 1.)], [('hue', .1), ('grey', 1.)],
             [('grey', 1.), ('hue', .1), ('flip', 1.)]]
    plans = [plans[i % 4] for i in range(len(PHOTOS))]
    before = BATCH.clone()
    assert means(plans, pillow_ops.run).max() < 1
    assert torch.equal(BATCH, before)
    with pytest.raises(ValueError, match='2 plans do not fit 17'):
        device_ops.run(BATCH, [[], []])


def test_all_steps_are_there():
    assert set(device_ops.OPS) == set(pillow_ops.OPS) | set(strong_ops.OPS)
    assert set(CASES) == set(pillow_ops.OPS)
