"""Strong augmentation: the original's pixels, and draws by its odds."""
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from caco_ext.datasets import StrongAugment, apply_op
from caco_ext.datasets.transforms import strong_fast, strong_ops
from caco_ext.datasets.transforms.strong_ops import OPS, SIGNED_OPS

(REFERENCE, ) = (Path(__file__).parents[2] / 'data' /
                 'reference').rglob('strong_ops_world1_rank0.npz')
with np.load(REFERENCE) as file:
    NUMBERS = dict(file)
NAMES = sorted(set(NUMBERS) - {'hyper', 'image'})


@pytest.mark.parametrize('name', NAMES)
def test_pixels_equal_the_original(name):
    op, magnitude, sign = name.split('_')
    out = apply_op(op, NUMBERS['image'], int(magnitude[1:]), sign == 'neg')
    assert np.array_equal(out, NUMBERS[name])


def test_every_operation_is_in_the_reference():
    assert {name.split('_')[0] for name in NAMES} == set(OPS)
    assert {n.split('_')[0] for n in NAMES if n.endswith('neg')} == SIGNED_OPS
    assert len(OPS) == 14


def test_tables_of_the_original(monkeypatch):
    strengths = range(1, 10)
    assert [strong_ops.posterize_bits(v)
            for v in strengths] == [4, 4, 5, 5, 6, 6, 6, 7, 7]
    assert [strong_ops.solarize_threshold(v)
            for v in strengths] == [231, 205, 180, 154, 128, 103, 77, 52, 26]
    degrees = []
    monkeypatch.setattr(
        Image.Image, 'rotate',
        lambda picture, angle: degrees.append(angle) or picture)
    for v in strengths:
        apply_op('Rotate', NUMBERS['image'], v, v % 2 == 0)
    assert degrees == [3, -6, 9, -12, 15, -18, 21, -24, 27]


@pytest.mark.parametrize('name', NAMES)
def test_fast_pixels_are_near_the_original(name):
    op, magnitude, sign = name.split('_')
    bgr = np.ascontiguousarray(NUMBERS['image'][..., ::-1])
    bgr.flags.writeable = False
    plan = [(op, int(magnitude[1:]), sign == 'neg')]
    gap = np.abs(
        strong_fast.run(bgr, plan)[..., ::-1].astype(float) - NUMBERS[name])
    if op in ('Rotate', 'ShearX', 'ShearY'):
        # the nearest pixel, where two are about equally near, is either
        assert (gap > 0).mean() < .04 and gap.mean() < 1
    elif op in ('Brightness', 'Color', 'Contrast', 'Sharpness'):
        assert gap.max() <= 1 and gap.mean() < .6
    else:
        assert gap.max() == 0


@pytest.mark.parametrize('level', [0, 200])
def test_fast_tables_of_uniform_pictures(level):
    flat = np.full((6, 5, 3), level, np.uint8)
    flat[..., 1] = np.arange(5) * 50
    for name in ('AutoContrast', 'Equalize', 'Sharpness', 'Contrast'):
        expected = apply_op(name, flat[..., ::-1], 5)
        out = strong_fast.run(flat, [(name, 5, False)])[..., ::-1]
        assert np.abs(out.astype(int) - expected).max() <= 1


def test_both_backends_have_the_operations():
    assert set(strong_fast.OPS) == set(OPS)


def test_operations_see_rgb(monkeypatch):
    augment = StrongAugment(backend='pillow')
    plan = [('Color', 3, False), ('ShearX', 5, True)]
    monkeypatch.setattr(augment, 'draw', lambda: plan)
    bgr = np.ascontiguousarray(NUMBERS['image'][..., ::-1])
    out = augment(dict(img=bgr))['img']
    expected = apply_op('ShearX', apply_op('Color', NUMBERS['image'], 3), 5,
                        True)
    assert np.array_equal(out[..., ::-1], expected)
    assert out.flags.writeable and out.dtype == np.uint8
    fast = StrongAugment()
    monkeypatch.setattr(fast, 'draw', lambda: plan)
    gap = np.abs(fast(dict(img=bgr))['img'].astype(float) - out)
    assert gap.mean() < 1


def test_smaller_pool_and_strength():
    augment = StrongAugment(3, prob=1., magnitude=(2, 2), ops=['Rotate'])
    plan = augment.draw()
    assert [step[:2] for step in plan] == [('Rotate', 2)] * 3


@pytest.mark.parametrize('options, message', [
    (dict(ops=['Invert']), "'Invert'; choose from AutoContrast"),
    (dict(ops=[]), 'ops is empty'),
    (dict(num_ops=0), 'num_ops'),
    (dict(prob=2), 'prob'),
    (dict(magnitude=(1, 11)), 'magnitude'),
    (dict(backend='cv2'), "backend must be one of fast, pillow, got 'cv2'"),
])
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        StrongAugment(**options)


def test_unknown_operation():
    with pytest.raises(ValueError, match='no operation'):
        apply_op('Cutout', NUMBERS['image'], 1)
