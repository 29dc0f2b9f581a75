"""Figures of the benchmarks against other programs, called directly."""
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import METRICS, init_default_scope
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import top_k_accuracy_score
from sklearn.neighbors import KNeighborsClassifier

from caco_ext.transfer.knn import measure_knn
from tests.helpers.benchmark_data import VOC_CLASSES
from tests.helpers.benchmark_runs import CONFIGS
from .test_classification import make_folders
from .test_detection import VOC
from .test_frozen import model, shrink  # noqa: F401


@pytest.fixture
def scenes():
    """Boxes, labels and scores of 15 pictures, true and found.

    Some objects are found twice, some not at all, some as another class.
    """
    rng = np.random.default_rng(0)
    found = []
    for _ in range(15):
        corner = rng.uniform(0, 60, (4, 2))
        truth = np.hstack([corner, corner + rng.uniform(8, 40, (4, 2))])
        labels = rng.integers(0, 3, 4)
        chosen = rng.integers(0, 4, 6)
        boxes = truth[chosen] + rng.normal(0, 2, (6, 4))
        other = np.where(rng.random(6) < 0.2, 1, 0)
        found.append((truth, labels, boxes, (labels[chosen] + other) % 3,
                      rng.permutation(6) / 6 + rng.random() / 100))
    return found


def test_voc_detection(scenes, tmp_path):
    """COCO's figures by pycocotools, VOC's by its 11 points."""
    init_default_scope('mmdet')
    metrics = {}
    for options in Config.fromfile(f'{CONFIGS}/{VOC}').val_evaluator:
        metric = METRICS.build(options)
        metric.dataset_meta = dict(classes=VOC_CLASSES, dataset_type='VOC2007')
        for number, (truth, labels, boxes, guesses,
                     scores) in enumerate(scenes):
            boxes, guesses, scores, true_boxes, true_labels = map(
                torch.from_numpy, (boxes, guesses, scores, truth, labels))
            nothing = dict(bboxes=torch.zeros(0, 4), labels=torch.zeros(0))
            metric.process({}, [
                dict(
                    img_id=number,
                    ori_shape=(110, 110),
                    pred_instances=InstanceData(
                        bboxes=boxes, labels=guesses, scores=scores),
                    gt_instances=InstanceData(
                        bboxes=true_boxes, labels=true_labels),
                    ignored_instances=InstanceData(**nothing),
                    instances=[
                        dict(bbox=b, bbox_label=int(n), ignore_flag=0)
                        for b, n in zip(truth.tolist(), labels)
                    ])
            ])
        metrics.update(metric.evaluate(len(scenes)))
    for index, name in ((0, 'mAP'), (1, 'mAP_50'), (2, 'mAP_75')):
        assert metrics[f'coco/bbox_{name}'] == pytest.approx(
            by_pycocotools(scenes)[index], abs=6e-4)
    overlaps = np.linspace(0.5, 0.95, 10)
    points = [by_11_points(scenes, overlap) for overlap in overlaps]
    assert metrics['pascal_voc/mAP'] == pytest.approx(np.mean(points))
    assert metrics['pascal_voc/AP50'] == pytest.approx(points[0], abs=6e-4)
    assert metrics['pascal_voc/AP75'] == pytest.approx(points[5], abs=6e-4)
    assert 0.2 < metrics['pascal_voc/mAP'] < metrics['pascal_voc/AP50'] < 0.95


def by_pycocotools(scenes):
    """Its 12 figures."""

    def entries(boxes, labels):
        for (x1, y1, x2, y2), label in zip(boxes.tolist(), labels.tolist()):
            yield dict(
                bbox=[x1, y1, x2 - x1, y2 - y1],
                area=(x2 - x1) * (y2 - y1),
                category_id=label,
                iscrowd=0)

    coco = COCO()
    coco.dataset = dict(
        images=[dict(id=i) for i in range(len(scenes))],
        categories=[dict(id=i) for i in range(3)],
        annotations=[
            dict(entry, image_id=i) for i, scene in enumerate(scenes)
            for entry in entries(*scene[:2])
        ])
    for number, entry in enumerate(coco.dataset['annotations'], 1):
        entry['id'] = number
    coco.createIndex()
    results = [
        dict(entry, image_id=i, score=score) for i, scene in enumerate(scenes)
        for entry, score in zip(entries(*scene[2:4]), scene[4].tolist())
    ]
    evaluation = COCOeval(coco, coco.loadRes(results), 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats


def by_11_points(scenes, overlap) -> float:
    """VOC2007's AP: each object may be found once, best score first."""
    means = []
    for label in range(3):
        found, total = [], 0
        for truth, labels, boxes, guesses, scores in scenes:
            own, free = truth[labels == label], set()
            total += len(own)
            rows = np.flatnonzero(guesses == label)
            for row in rows[np.argsort(-scores[rows])]:
                best, overlaps = -1, np.zeros(0)
                if len(own):
                    overlaps = intersection_over_union(own, boxes[row])
                    best = int(overlaps.argmax())
                hit = best >= 0 and overlaps[
                    best] >= overlap and best not in free
                if hit:
                    free.add(best)
                found.append((scores[row], hit))
        hits = np.array([hit for _, hit in sorted(found, reverse=True)])
        recall = hits.cumsum() / total
        precision = hits.cumsum() / np.arange(1, len(hits) + 1)
        means.append(
            np.mean([
                precision[recall >= level].max(initial=0)
                for level in np.linspace(0, 1, 11)
            ]))
    return float(np.mean(means))


def intersection_over_union(boxes, box) -> np.ndarray:
    """With VOC's widths, which count both ends."""
    low, high = np.maximum(boxes[:, :2],
                           box[:2]), np.minimum(boxes[:, 2:], box[2:])
    inner = (high - low + 1).clip(0).prod(1)
    areas = [(b[..., 2:] - b[..., :2] + 1).prod(-1) for b in (boxes, box)]
    return inner / (areas[0] + areas[1] - inner)


def test_heads_on_several_maps():
    rng = np.random.default_rng(0)
    scores, truth = rng.normal(size=(2, 40, 7)), rng.integers(0, 7, 40)
    metric = METRICS.build(dict(type='MultiHeadAccuracy', topk=(1, 5)))
    metric.process({}, [
        dict(
            gt_label=dict(label=torch.tensor([truth[i]])),
            **{
                f'head{h}_pred_label': dict(score=torch.tensor(scores[h, i]))
                for h in range(2)
            }) for i in range(40)
    ])
    found = metric.evaluate(40)
    for k in (1, 5):
        wanted = [100 * top_k_accuracy_score(truth, s, k=k) for s in scores]
        assert [found[f'head{h}/top{k}']
                for h in range(2)] == pytest.approx(wanted)
        assert found[f'top{k}'] == pytest.approx(max(wanted))


@pytest.mark.parametrize('value', [0., float('nan')])
def test_heads_that_say_nothing_are_not_right(value):
    metric = METRICS.build(dict(type='MultiHeadAccuracy', topk=(1, 5)))
    metric.process({}, [
        dict(
            gt_label=dict(label=torch.tensor([label])),
            head0_pred_label=dict(score=torch.full((7, ), value)))
        for label in range(7)
    ])
    assert metric.evaluate(7) == {
        f'{head}top{k}': 0.
        for head in ('', 'head0/')
        for k in (1, 5)
    }


def test_top5_of_five_classes_is_left_out():
    metric = METRICS.build(dict(type='MultiHeadAccuracy', topk=(1, 5)))
    metric.process({}, [
        dict(
            gt_label=dict(label=torch.tensor([2])),
            head0_pred_label=dict(score=torch.arange(5.)))
    ])
    assert metric.evaluate(1) == {'head0/top1': 0., 'top1': 0.}


def test_nearest_neighbours(model, tmp_path):  # noqa: F811
    """Weights exp(cosine / temperature), as scikit-learn votes with them."""
    make_folders(tmp_path / 'data')
    cache = tmp_path / 'cache'
    cfg = shrink('imagenet/knn_in1k.py', tmp_path, k=[3, 20], cache=str(cache))
    metrics, _ = measure_knn(cfg, model)
    test, train = sorted((np.load(path) for path in cache.iterdir()),
                         key=lambda file: len(file['labels']))
    for k in cfg.k:
        voters = KNeighborsClassifier(
            k,
            metric='cosine',
            weights=lambda far: np.exp((1 - far) / cfg.temperature))
        voters.fit(train['features'].astype(float), train['labels'])
        wanted = voters.score(test['features'].astype(float), test['labels'])
        assert metrics[f'top1_k{k}'] == pytest.approx(100 * wanted)
