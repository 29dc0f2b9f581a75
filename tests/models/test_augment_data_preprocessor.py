"""Views finished on the model's device equal those of the workers."""
import itertools
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from mmengine.model import BaseModel
from mmengine.registry import MODELS, TRANSFORMS
from mmengine.structures import BaseDataElement

import caco_ext  # noqa: F401
from caco_ext.datasets import MultiCrop, photo_patches
from caco_ext.datasets.transforms import device_ops, strong_ops
from caco_ext.datasets.transforms.pil_bridge import to_bgr
from tests.helpers.device_counts import Kernels, on_fake_gpu

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


# One step of each kind, the strong ones by magnitude and direction.
STEPS = [('brightness', 1.3), ('contrast', .7), ('saturation', 1.2),
         ('hue', .1), ('grey', 1.), ('blur', 1.2), ('solarize', 128),
         ('flip', 1.)] + [(name, 3, name in strong_ops.SIGNED_OPS)
                          for name in strong_ops.OPS]
JITTER = STEPS[:4]


def plans_of(steps, count):
    """Plans as the pipeline draws them."""
    random.seed(0)
    crops = MultiCrop([[dict(type='ViewRandomResizedCrop', size=8), *steps]],
                      1,
                      on_device=True)
    return [
        crops(dict(img=np.zeros((9, 9, 3), np.uint8)))['view_plans'][0]
        for _ in range(count)
    ]


@pytest.mark.parametrize('steps, most', [(WEAK, 100), (KINDS[1][1:], 350)])
def test_few_kernels(steps, most):
    """Of a view of 128 pictures, with the normalisation."""
    plans = plans_of(steps, 128)
    assert sum(map(len, plans)) > 500
    samples = [
        BaseDataElement(metainfo=dict(view_plans=[plan])) for plan in plans
    ]
    views = torch.randint(0, 256, (128, 3, 12, 12), dtype=torch.uint8)
    preprocessor = MODELS.build(ON_DEVICE)
    with Kernels() as kernels:
        preprocessor(dict(inputs=[views], data_samples=samples), True)
    assert len(kernels) < most, kernels.names


def test_no_step_waits(monkeypatch):
    sample = BaseDataElement(metainfo=dict(view_plans=[STEPS]))

    def call(preprocessor):
        views = torch.empty(2, 3, 12, 12, dtype=torch.uint8)
        return preprocessor(
            dict(inputs=[views], data_samples=[sample] * 2), True)[0]

    kind = MODELS.get(ON_DEVICE['type'])
    options = {k: v for k, v in ON_DEVICE.items() if k != 'type'}
    waits = on_fake_gpu(monkeypatch, lambda: kind(**options), call)
    assert waits.found == []
    assert waits.copied == 2  # the pictures, and all numbers of the plans


def test_pictures_without_a_step_stay_as_they_are():
    torch.manual_seed(0)
    views = torch.randint(
        0, 256, (len(STEPS) + 1, 3, 20, 24), dtype=torch.uint8)
    before = views.clone()
    out = device_ops.run(views, [[step] for step in STEPS] + [[]])
    assert torch.equal(views, before)
    assert torch.equal(out[-1], views[-1])
    for i, step in enumerate(STEPS):
        alone = device_ops.run(views[i:i + 1], [[step]])
        assert torch.equal(out[i:i + 1], alone), step
        changed = not torch.equal(out[i], views[i])
        # Noise has all levels, so there is nothing to stretch.
        assert changed or step[0] in ('Identity', 'AutoContrast'), step


def test_jitters_of_any_order_share_six_changes():
    plans = list(itertools.permutations(JITTER))
    changes = device_ops.arrange(plans, 8, 8)
    assert [kind for kind, _ in changes
            ] == ['blend', 'hue', 'blend', 'blend', 'hue', 'blend']


def test_each_plan_keeps_its_order():
    random.seed(1)
    plans = [random.choices(STEPS, k=random.randrange(8)) for _ in range(50)]
    changes = device_ops.arrange(plans, 8, 8)
    for i, plan in enumerate(plans):
        kinds = [device_ops.OPS[step[0]][0] for step in plan]
        assert [kind for kind, chosen in changes
                if i in chosen] == [kind for kind in kinds if kind]


def test_mixed_precision_changes_no_pixel(finished):
    preprocessor = MODELS.build(ON_DEVICE)
    with torch.autocast('cpu', torch.bfloat16):
        views = preprocessor(batch(True), True)[0]
    assert all(map(torch.equal, views, finished[0]))
