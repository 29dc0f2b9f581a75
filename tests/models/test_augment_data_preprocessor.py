"""Views finished on the model's device equal those of the workers."""
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from mmengine.model import BaseModel
from mmengine.registry import MODELS, TRANSFORMS

import caco_ext  # noqa: F401
from caco_ext.datasets import MultiCrop, photo_patches
from caco_ext.datasets.transforms.pil_bridge import to_bgr

BASE = dict(
    type='mmselfsup.SelfSupDataPreprocessor',
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    bgr_to_rgb=True)
WEAK = [
    dict(type='ViewColorJitter'),
    dict(type='ViewRandomGrayscale'),
    dict(type='ViewGaussianBlur'),
    dict(type='ViewSolarize'),
    dict(type='ViewFlip')
]
KINDS = [[dict(type='ViewRandomResizedCrop', size=48), WEAK],
         [
             dict(type='ViewRandomResizedCrop', size=32), WEAK,
             dict(type='StrongAugment')
         ]]
PHOTOS = [to_bgr(photo) for _, photo in photo_patches.photographs()][:8]
# what three options on the command line make of a preset
ON_DEVICE = dict(BASE, type='AugmentDataPreprocessor')


def batch(on_device, meta_keys=('view_plans', ), backend=None):
    kinds = KINDS
    if backend:
        kinds = [[kind[0], [dict(step, backend=backend) for step in kind[1]]] +
                 [dict(step, backend=backend) for step in kind[2:]]
                 for kind in KINDS]
    crops = MultiCrop(kinds, [2, 1], on_device=on_device)
    pack = TRANSFORMS.build(
        dict(
            type='mmselfsup.PackSelfSupInputs',
            meta_keys=list(meta_keys) if on_device else []))
    items = []
    for i, photo in enumerate(PHOTOS):
        random.seed(i)
        items.append(pack(crops(dict(img=photo.copy()))))
    return default_collate(items)


@pytest.fixture(scope='module')
def finished():
    """Views of the workers by the reference, and of the device."""
    own = MODELS.build(ON_DEVICE)(batch(True), True)[0]
    workers = MODELS.build(BASE)(batch(False, backend='pillow'), True)[0]
    return own, workers


def test_device_equals_the_reference(finished):
    # same seeds: each step draws right before or long before it acts, but
    # in the same order
    for own, workers in zip(*finished):
        assert own.shape == workers.shape and own.dtype == workers.dtype
        levels = (own - workers).abs() * 57
        per_picture = levels.mean((1, 2, 3))
        assert per_picture.mean() < 2 and per_picture.max() < 8


def test_views_are_changed(finished):
    data = batch(True)
    plain = MODELS.build(BASE)(data, True)[0]
    gap = (plain[0] - finished[0][0]).abs() * 57
    assert gap.mean() > 10


def test_workers_send_bytes_and_short_plans():
    data = batch(True)
    assert all(view.dtype == torch.uint8 for view in data['inputs'])
    plans = data['data_samples'][0].view_plans
    assert len(plans) == 3
    assert all(
        isinstance(name, str) and np.isfinite(value) for plan in plans
        for name, value, *_ in plan)


def test_part_of_a_model(finished):

    class Net(BaseModel):

        def forward(self, inputs, data_samples, mode):
            return inputs

    net = Net(ON_DEVICE).to('cpu')
    views = net.test_step(batch(True))
    assert torch.equal(views[0], finished[0][0])
    # what has no plans (kNN) is normalised only
    plain = batch(False)
    assert torch.equal(
        net.test_step(plain)[0],
        MODELS.build(BASE)(plain, False)[0][0])


def test_missing_plans_are_refused():
    preprocessor = MODELS.build(ON_DEVICE)
    with pytest.raises(ValueError, match='view_plans.*meta_keys'):
        preprocessor(batch(True, meta_keys=()), True)
    data = batch(True)
    data['inputs'].append(data['inputs'][0])
    with pytest.raises(ValueError, match='4 views.*plans for 3'):
        preprocessor(data, True)


def test_steps_that_cannot_wait_are_refused():
    with pytest.raises(
            ValueError, match='ViewRandomResizedCrop stands behind ViewFlip'):
        MultiCrop([[
            dict(type='ViewFlip'),
            dict(type='ViewRandomResizedCrop', size=8)
        ]],
                  1,
                  on_device=True)
