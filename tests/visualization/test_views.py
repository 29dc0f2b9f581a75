"""Views and what was drawn for them: those of the training itself."""
import random

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, TRANSFORMS, init_default_scope

from caco_ext.datasets.transforms import fast_ops
from caco_ext.visualization import make_views, views_gallery
from caco_ext.visualization.views import _describe

JITTER = dict(
    type='ViewColorJitter',
    brightness=0.4,
    contrast=0.4,
    saturation=0.2,
    hue=0.1,
    prob=1.)
STEPS = [
    JITTER,
    dict(type='ViewRandomGrayscale', prob=0.5),
    dict(type='ViewFlip')
]


def config(folder, on_device=False, steps=STEPS, views=(2, 1)):
    multi = dict(
        type='MultiCrop',
        num_views=list(views),
        on_device='crop' if on_device == 'crop' else bool(on_device),
        transforms=[[dict(type='ViewRandomResizedCrop', size=size), steps]
                    for size in (16, 8)[:len(views)]])
    pack = dict(
        type='mmselfsup.PackSelfSupInputs',
        meta_keys=['img_path'] + ['view_plans'] * bool(on_device) +
        ['img_source'] * (on_device == 'crop'))
    load = dict(type='LoadImage', on_device=on_device == 'crop')
    dataset = dict(
        type='ImageFolder',
        data_root=str(folder),
        pipeline=[load, multi, pack])
    return Config(
        dict(
            default_scope='mmselfsup', train_dataloader=dict(dataset=dataset)))


def test_views_are_those_of_the_training(labelled):
    cfg = config(labelled)
    rows = make_views(cfg, 4, seed=3, epoch=2)
    init_default_scope('mmselfsup')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    dataset.set_epoch(3, 2)
    assert len(rows) == 4
    # from the whole data set
    for index, row in zip((0, 7, 15, 22), rows):
        expected = dataset[index]['inputs']
        assert [v.picture.shape[0] for v in row.views] == [16, 16, 8]
        for view, tensor in zip(row.views, expected):
            rgb = tensor.numpy()[::-1].transpose(1, 2, 0)
            assert (view.picture == rgb).all()


def test_what_is_said_makes_the_view(labelled):
    """Box and draws, carried out by hand, give the picture."""
    plain = make_views(config(labelled, steps=[]), 3)
    crop = TRANSFORMS.build(dict(type='ViewRandomResizedCrop', size=16))
    for row in plain:
        for view in row.views[:2]:
            top, left, h, w = view.box
            part = row.original[top:top + h, left:left + w]
            crop.draw_box = lambda *size: (0, 0, h, w)
            again = crop.transform(dict(img=part.copy()))['img']
            assert (again == view.picture).all() and view.draws == []
    row, = make_views(config(labelled), 1)
    names = [[text.split()[0] for text in view.draws] for view in row.views]
    for one in names:
        assert set(one) >= {'brightness', 'contrast', 'saturation', 'hue'}
        assert set(one) <= {
            'brightness', 'contrast', 'saturation', 'hue', 'grey', 'flip'
        }


def test_grey_views_are_said_to_be(labelled):
    rows = make_views(config(labelled), 12)
    said = [('grey' in v.draws, np.ptp(v.picture.astype(int), 2).max() == 0)
            for row in rows for v in row.views]
    assert all(a == b for a, b in said)
    assert {a for a, _ in said} == {True, False}


def test_steps_left_to_the_device_are_carried_out(labelled):
    host = make_views(config(labelled), 3)
    device = make_views(config(labelled, on_device=True), 3)
    for one, other in zip(host, device):
        for a, b in zip(one.views, other.views):
            # crops are drawn before all steps there, so only the count agrees
            assert len(b.draws) >= 4 and a.picture.shape == b.picture.shape
            assert b.box is not None


def test_crops_left_to_the_device_are_cut(labelled):
    """The folder has PNGs, which a worker decodes."""
    host = make_views(config(labelled), 3)
    device = make_views(config(labelled, on_device='crop'), 3)
    for one, other in zip(host, device):
        assert (one.original == other.original).all()
        for a, b in zip(one.views, other.views):
            assert (a.box, a.draws) == (b.box, b.draws)
            assert np.abs(a.picture.astype(int) - b.picture).mean() < 3


def test_strong_augmentation_is_said(labelled):
    strong = [dict(type='StrongAugment', num_ops=3, prob=1.)]
    row, = make_views(config(labelled, steps=strong, views=(1, )), 1)
    assert len(row.views[0].draws) == 3
    assert _describe(('Rotate', 7, True)) == 'Rotate -7'
    assert _describe(('Posterize', 4, False)) == 'Posterize 4'
    assert _describe(('brightness', 1.23456)) == 'brightness 1.23'
    assert _describe(('flip', 1.)) == 'flip'
    assert 'flip' in vars(fast_ops).get('OPS', {'flip': 0})


def test_other_pipelines_are_shown_without_words(labelled):
    cfg = config(labelled)
    cfg.train_dataloader.dataset.pipeline[1] = dict(
        type='mmselfsup.MultiView',
        num_views=[2],
        transforms=[[dict(type='mmcls.RandomFlip', prob=1.)]])
    row, = make_views(cfg, 1)
    assert len(row.views) == 2 and row.views[0].box is None
    assert (row.views[0].picture == row.original[:, ::-1]).all()
    tiles, = views_gallery([row]).rows
    assert [tile.colour for tile in tiles] == ['', '', '']


def test_gallery_frames_the_boxes(labelled):
    rows = make_views(config(labelled), 2)
    gallery = views_gallery(rows, 'title')
    assert [len(row) for row in gallery.rows] == [4, 4]
    tile = gallery.rows[0][0]
    assert tile.caption == 'original, 24x20'
    for view in gallery.rows[0][1:]:
        colour = tuple(int(view.colour[i:i + 2], 16) for i in (1, 3, 5))
        assert (tile.picture == colour).all(2).any()
        assert '% of the area' in view.caption


def test_nothing_else_changes(labelled):
    states = random.getstate(), np.random.get_state()[1], torch.get_rng_state()
    make_views(config(labelled), 2)
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()
    assert torch.equal(torch.get_rng_state(), states[2])


def test_without_a_pipeline():
    with pytest.raises(ValueError, match='no train_dataloader.dataset'):
        make_views(Config(dict(model=1)))
    data = dict(type='ToyPictures')
    with pytest.raises(ValueError, match='ToyPictures .* no pipeline'):
        make_views(Config(dict(train_dataloader=dict(dataset=data))))
