"""Crops, flips and several views of one picture."""
import random

import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS
from PIL import Image

from caco_ext.datasets import (MultiCrop, ViewFlip, ViewRandomResizedCrop,
                               photo_patches)
from caco_ext.datasets.transforms.views import by_planes


def noise(height=60, width=80):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


class Scribble(BaseTransform):
    """Writes into its input, as a few transforms of the hosts do."""

    def transform(self, results):
        results['img'][:] = 0
        return results


@pytest.mark.parametrize('backend, most', [('pillow', 0), ('fast', 1)])
@pytest.mark.parametrize('box', [(3, 5, 30, 44), (0, 0, 60, 80),
                                 (11, 7, 20, 20)])
def test_crop_is_resized_as_by_pil(box, backend, most, monkeypatch):
    crop = ViewRandomResizedCrop(32, backend=backend)
    monkeypatch.setattr(crop, 'draw_box', lambda *_: box)
    top, left, height, width = box
    expected = Image.fromarray(noise()).crop(
        (left, top, left + width, top + height)).resize((32, 32),
                                                        Image.BILINEAR)
    out = crop(dict(img=noise()))
    gap = np.abs(out['img'].astype(float) - np.asarray(expected))
    assert gap.max() <= most and gap.mean() < .05
    # else every step behind it would copy it
    assert out['img'].flags.c_contiguous
    assert out['img_shape'] == (32, 32) and out['img'].flags.writeable


@pytest.mark.parametrize('size', [(333, 500), (64, 64), (700, 900)])
def test_fast_crop_of_photographs(size):
    random.seed(2)
    photos = [
        np.asarray(picture.resize(size[::-1]))
        for _, picture in list(photo_patches.photographs())[:6]
    ]
    for side, scale in ((224, (.2, 1.)), (96, (.05, .14))):
        fast = ViewRandomResizedCrop(side, scale)
        slow = ViewRandomResizedCrop(side, scale, backend='pillow')
        for photo in photos:
            box = fast.draw_box(*size)
            fast.draw_box = slow.draw_box = lambda *_, box=box: box
            gap = np.abs(
                fast(dict(img=photo))['img'].astype(float) -
                slow(dict(img=photo))['img'])
            assert gap.max() <= 1 and gap.mean() < .2
            del fast.draw_box


def test_flip():
    random.seed(0)
    img = noise()
    out = [ViewFlip(.3)(dict(img=img))['img'] for _ in range(1000)]
    flipped = [np.array_equal(o, img[:, ::-1]) for o in out]
    same = [np.array_equal(o, img) for o in out]
    assert sum(flipped) + sum(same) == 1000 and .25 < np.mean(flipped) < .35


def test_multi_crop_order_and_sizes():
    crops = MultiCrop(
        num_views=[2, 3],
        transforms=[[dict(type='ViewRandomResizedCrop', size=24)],
                    [
                        dict(type='ViewRandomResizedCrop', size=10),
                        dict(type='ViewFlip')
                    ]])
    assert crops.total_views == 5
    out = crops(dict(img=noise(), img_path='a.png'))
    assert [v.shape
            for v in out['img']] == [(24, 24, 3)] * 2 + [(10, 10, 3)] * 3
    assert out['img_path'] == 'a.png'
    assert not np.array_equal(out['img'][0], out['img'][1])


def test_views_lie_in_planes():
    crops = MultiCrop([[dict(type='ViewRandomResizedCrop', size=24)]], 1)
    (view, ) = crops(dict(img=noise()))['img']
    assert view.shape == (24, 24, 3)
    planes = view.transpose(2, 0, 1)
    assert planes.flags.c_contiguous and planes.flags.writeable
    img = noise()
    assert np.array_equal(by_planes(img), img)
    assert by_planes(img[..., 0]).shape == (60, 80)


def test_views_do_not_touch_one_another():
    crops = MultiCrop([[Scribble()]], 2)
    with pytest.raises(ValueError, match='read-only'):
        crops(dict(img=noise()))
    crops = MultiCrop(
        [[dict(type='ViewRandomResizedCrop', size=8),
          Scribble()], [dict(type='ViewRandomResizedCrop', size=8)]], [1, 1])
    first, second = crops(dict(img=noise()))['img']
    assert first.max() == 0 and second.max() > 0


def test_pipelines_may_share_steps():
    shared = [
        dict(type='ViewFlip', prob=1.), [dict(type='ViewRandomGrayscale')]
    ]
    crops = MultiCrop(
        [[dict(type='ViewRandomResizedCrop', size=8), shared], shared], [1, 1])
    assert [[type(step).__name__ for step in pipeline.transforms]
            for pipeline in crops.pipelines
            ] == [['ViewRandomResizedCrop', 'ViewFlip', 'ViewRandomGrayscale'],
                  ['ViewFlip', 'ViewRandomGrayscale']]


def test_built_from_a_config():
    config = dict(
        type='MultiCrop',
        num_views=2,
        transforms=[[dict(type='ViewRandomResizedCrop', size=8)]])
    assert TRANSFORMS.build(config).total_views == 2


@pytest.mark.parametrize('make, message', [
    (lambda: ViewRandomResizedCrop(0), 'size'),
    (lambda: ViewRandomResizedCrop(8, scale=(.5, .2)), 'scale'),
    (lambda: ViewRandomResizedCrop(8, scale=(0, 2)), 'scale'),
    (lambda: ViewRandomResizedCrop(8, ratio=(2, 1)), 'ratio'),
    (lambda: ViewRandomResizedCrop(8, backend='cv2'), "got 'cv2'"),
    (lambda: ViewFlip(2), 'prob'),
    (lambda: MultiCrop([[], []], [2]), r'num_views=\[2\].*2 pipelines'),
    (lambda: MultiCrop([[]], [0]), 'positive'),
])
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
