"""Benchmarks on frozen features, and what is shared between them."""
import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.svm import LinearSVC

from caco_ext.transfer import voc07_sgd
from caco_ext.transfer.frozen import FrozenBackbone
from caco_ext.transfer.knn import measure_knn
from caco_ext.transfer.linear_grid import measure_grid, train_linear
from caco_ext.transfer.voc07 import (CLASSES, average_precision_11,
                                     build_split, class_precisions,
                                     image_precision)
from caco_ext.transfer.voc07_sgd import Batches, collate, measure_sgd
from caco_ext.transfer.voc07_svm import (check_few, choose_cost, measure_svm,
                                         sample_few)
from tests.helpers.benchmark_data import make_voc
from tests.helpers.benchmark_runs import CONFIGS, NARROW, pretrained
from .test_classification import make_folders


def shrink(name: str, folder, **changes) -> Config:
    """A benchmark on 32 pixels."""
    cfg = Config.fromfile(f'{CONFIGS}/classification/{name}')
    cfg.update(num_workers=0, work_dir=str(folder), **changes)
    pipelines = [cfg.pipeline] + [
        cfg[n].pipeline for n in ('train_dataset', 'test_dataset') if n in cfg
    ]
    for pipeline in pipelines:
        pipeline[1].scale = pipeline[2].crop_size = 32
    for part in ('train_dataset', 'test_dataset'):
        if part in cfg:
            cfg[part].data_root = f'{folder}/data'
    return cfg


@pytest.fixture
def model(tmp_path):
    """A narrow backbone from a file."""
    pretrained(tmp_path / 'a.pth', **NARROW)
    cfg = Config.fromfile(f'{CONFIGS}/classification/_base_/frozen.py')
    return FrozenBackbone(str(tmp_path / 'a.pth'), cfg.data_preprocessor)


@pytest.fixture(scope='module')
def voc(tmp_path_factory):
    """VOC2007 of 40 and 20 pictures."""
    folder = tmp_path_factory.mktemp('voc')
    return str(make_voc(folder / 'VOCdevkit', 20) / 'VOC2007')


@pytest.mark.slow
def test_knn_and_grid_share_cached_features(model, tmp_path):
    make_folders(tmp_path / 'data')
    cache = str(tmp_path / 'cache')
    cfg = shrink('imagenet/knn_in1k.py', tmp_path, k=[1, 5], cache=cache)
    metrics, more = measure_knn(cfg, model)
    assert more['pictures'] == dict(train=36, test=18)
    # of three classes there is no top 5
    assert set(metrics) == {'top1_k1', 'top1_k5'} and metrics['top1_k1'] > 60
    files = list((tmp_path / 'cache').iterdir())
    assert len(files) == 2

    # the second time the backbone sees nothing
    model.backbone.forward = None
    assert measure_knn(cfg, model)[0] == metrics
    grid = shrink(
        'imagenet/lineargrid_in1k.py',
        tmp_path,
        cache=cache,
        lrs=[1e-6, 1e-4],
        probe=dict(epochs=20, batch_size=12))
    found, more = measure_grid(grid, model)
    assert found == measure_grid(grid, model)[0]
    assert found['top1'] == max(found.values()) > 60
    assert more['best_lr'] in (1e-6, 1e-4)

    # other weights do not take these files
    pretrained(tmp_path / 'b.pth', seed=1, **NARROW)
    other = FrozenBackbone(str(tmp_path / 'b.pth'), cfg.data_preprocessor)
    measure_knn(cfg, other)
    assert len(list((tmp_path / 'cache').iterdir())) == 4
    cfg.k = [40]
    with pytest.raises(ValueError, match='k=40.*has 36'):
        measure_knn(cfg, model)


def test_linear_layers_train_as_torch_trains_them():
    """Against SGD and autograd, each rate by itself."""
    torch.manual_seed(0)
    features, labels = torch.randn(20, 6), torch.arange(20) % 3
    lrs = [0.1, 1.]
    weight, bias = train_linear(
        features, labels, 3, lrs, epochs=3, batch_size=8, weight_decay=0.01)
    for i, lr in enumerate(lrs):
        generator = torch.Generator().manual_seed(0)
        layer = torch.nn.Linear(6, 3)
        with torch.no_grad():
            layer.weight.copy_(0.01 * torch.randn(3, 6, generator=generator))
            layer.bias.zero_()
        optimizer = torch.optim.SGD(
            layer.parameters(), lr=lr, momentum=0.9, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)
        for _ in range(3):
            for rows in torch.randperm(20, generator=generator).split(8):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(
                    layer(features[rows]), labels[rows]).backward()
                optimizer.step()
            schedule.step()
        torch.testing.assert_close(weight[i], layer.weight.data)
        torch.testing.assert_close(bias[i], layer.bias.data)


def test_average_precisions():
    """Area as scikit-learn, 11 points as counted by hand."""
    rng = np.random.default_rng(0)
    truth = rng.choice([-1, 0, 1], (30, 20))
    scores = rng.normal(size=(30, 20))
    found = class_precisions(truth, scores)
    used = truth[:, 7] != 0
    assert found['AP_cat'] == pytest.approx(
        100 * average_precision_score(truth[used, 7] > 0, scores[used, 7]))
    assert found['mAP'] == pytest.approx(
        np.mean([found[f'AP_{name}'] for name in CLASSES]))
    # hits at ranks 1 and 3: precision 1 up to recall 0.5, then 2/3
    assert average_precision_11(
        np.array([1, -1, 1, -1, 0]), np.array([4., 3., 2., 1.,
                                               9.])) == pytest.approx(
                                                   (6 * 1 + 5 * 2 / 3) / 11)
    rows = [
        average_precision_score(t > 0, s) for t, s in zip(truth, scores)
        if (t > 0).any()
    ]
    assert image_precision(truth, scores) == pytest.approx(100 * np.mean(rows))


@pytest.mark.slow
def test_svm_as_scikit_learn_called_directly(model, voc, tmp_path):
    cfg = shrink(
        'voc07/svm_voc07.py',
        tmp_path,
        data_root=voc,
        costs=[0.1, 1.],
        shots=[1],
        samples=2,
        jobs=1,
        cache=str(tmp_path / 'cache'))
    metrics, more = measure_svm(cfg, model)
    assert more['pictures'] == dict(train=40, test=20)
    assert measure_svm(cfg, model)[0] == metrics
    files = [np.load(p) for p in (tmp_path / 'cache').iterdir()]
    train, test = sorted(files, key=lambda f: -len(f['labels']))
    x, y = (f['features'].astype(float) for f in (train, test))
    x, y = (f / np.linalg.norm(f, axis=1, keepdims=True) for f in (x, y))
    train_truth, truth = (
        build_split(cfg, split) for split in ('trainval', 'test'))
    train_truth.full_init()
    truth.full_init()
    for number in (0, 3):
        target = train_truth.targets[:, number]
        options = dict(
            class_weight={
                1: 2,
                -1: 1
            }, max_iter=2000, random_state=0)
        folds = StratifiedKFold(3, shuffle=True, random_state=0)
        means = [
            cross_val_score(
                LinearSVC(C=c, **options),
                x,
                target,
                cv=folds,
                scoring='average_precision').mean() for c in cfg.costs
        ]
        best = cfg.costs[int(np.argmax(means))]
        assert more['costs'][CLASSES[number]] == best
        scores = LinearSVC(
            C=best, **options).fit(x, target).decision_function(y)
        assert metrics[f'AP_{CLASSES[number]}'] == pytest.approx(
            100 *
            average_precision_score(truth.targets[:, number] > 0, scores))
    assert 0 < metrics['mAP_k1'] <= 100


def test_low_shot_splits():
    rng = np.random.default_rng(0)
    target = np.array([1] * 5 + [-1] * 60 + [0] * 3)
    few = sample_few(target, 2, rng)
    assert (few == 1).sum() == 2 and (few == -1).sum() == 38
    assert (target[few != 0] == few[few != 0]).all()
    targets = np.tile(target[:, None], 20)
    check_few(targets, [3])
    with pytest.raises(ValueError, match='k=4 needs 76 pictures without'):
        check_few(targets, [1, 4])
    with pytest.raises(ValueError, match='k=6 needs 6 pictures with'):
        check_few(targets, [6])
    # of equal costs the first
    features = np.eye(68)
    assert choose_cost(features, target, [1., 1.], 0) == 1.


@pytest.mark.slow
def test_sgd_layer(model, tmp_path):
    """Learns, repeats, and leaves the norms' statistics alone."""
    voc = str(make_voc(tmp_path / 'VOCdevkit', 4) / 'VOC2007')
    cfg = shrink(
        'voc07/sgd_voc07.py', tmp_path, data_root=voc, epochs=1, lr=1e-4)
    before = {n: b.clone() for n, b in model.named_buffers()}
    metrics, _ = measure_sgd(cfg, model)
    assert 'per_image_AP' not in metrics and 20 < metrics['mAP'] <= 100
    assert all(torch.equal(b, before[n]) for n, b in model.named_buffers())
    cfg.per_image = True
    again, _ = measure_sgd(cfg, model)
    assert again.pop('per_image_AP') > 0 and again == metrics


def test_a_share_of_the_last_batch_may_be_empty(model, monkeypatch):
    """Five pictures in batches of two leave one rank of two without any."""
    monkeypatch.setattr(voc07_sgd, 'get_dist_info', lambda: (1, 2))
    rows = list(Batches(5, 2, seed=0))
    assert [len(r) for r in rows] == [1, 1, 0]
    crops, targets = collate([])
    assert targets.shape == (0, 20)
    features = voc07_sgd._features(model.eval(), crops[:, 0])
    assert features.shape == (0, 256)


@pytest.mark.parametrize('fault, words', [
    ('list', 'cat_trainval.txt does not exist'),
    ('picture', '1 of the 4 pictures of trainval are not on the disk'),
    ('few', '3 of each are needed'),
])
def test_faults_of_voc(model, tmp_path, fault, words):
    root = make_voc(tmp_path / 'VOCdevkit', 2) / 'VOC2007'
    cfg = shrink('voc07/svm_voc07.py', tmp_path, data_root=str(root))
    if fault == 'list':
        (root / 'ImageSets/Main/cat_trainval.txt').unlink()
    elif fault == 'picture':
        (root / 'JPEGImages/07_val_001.jpg').unlink()
    with pytest.raises((FileNotFoundError, ValueError), match=words):
        measure_svm(cfg, model)


def test_the_other_encoder_and_a_labelled_network(tmp_path):
    pretrained(tmp_path / 'a.pth', **NARROW)
    content = torch.load(tmp_path / 'a.pth')
    content['state_dict']['head.fc.weight'] = torch.zeros(3, 256)
    torch.save(content, tmp_path / 'a.pth')
    cfg = Config.fromfile(f'{CONFIGS}/classification/_base_/frozen.py')
    options = (str(tmp_path / 'a.pth'), cfg.data_preprocessor)
    with pytest.raises(ValueError, match='trained with labels'):
        FrozenBackbone(*options)
    proof = FrozenBackbone(*options, supervised=True).proof
    assert proof['matched'] == {'backbone': 318}
    json.dumps(proof)
