"""kNN on a real folder in which some files are no pictures."""
import numpy as np
import torch
from PIL import Image

from caco_ext.datasets import ImageFolder
from caco_ext.evaluation import (build_feature_loader, features_and_labels,
                                 read_labels)
from tests.helpers.toy_algorithm import ToyAlgorithm


def test_broken_pictures_do_not_vote(tmp_path):
    rng = np.random.default_rng(0)
    for name in ('a', 'b'):
        (tmp_path / name).mkdir()
        for i in range(4):
            Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(
                tmp_path / name / f'{i}.png')
    (tmp_path / 'a' / '1.png').write_bytes(b'broken')
    (tmp_path / 'b' / '3.png').write_bytes(b'')
    pipeline = [
        dict(type='LoadImage'),
        dict(type='mmselfsup.PackSelfSupInputs', algorithm_keys=['gt_label'])
    ]
    dataset = ImageFolder(str(tmp_path), pipeline=pipeline)
    assert read_labels(dataset).tolist() == [0] * 4 + [1] * 4
    model = ToyAlgorithm()
    for num_workers in (0, 2):
        loader = build_feature_loader(
            dataset, batch_size=3, num_workers=num_workers)
        features, labels = features_and_labels(model, loader)
        assert labels.tolist() == [0, 0, 0, 1, 1, 1]
        assert len(torch.unique(features, dim=0)) == 6
