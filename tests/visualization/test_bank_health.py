"""Health of a memory, and embeddings, with known answers."""
import re
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from caco_ext.utils.checkpoints import read_checkpoint
from caco_ext.visualization import embed
from caco_ext.visualization.bank_health import (_among_features, _drift_chart,
                                                _memory_table, _norms_chart,
                                                _positives_chart, _read_memory,
                                                _serves_positives)
from caco_ext.visualization.embedding import _class_series, check_method
from caco_ext.visualization.panels import Note
from caco_ext.visualization.run_features import Extracted
from caco_ext.visualization.run_logs import RunLog
from tests.helpers.small_models import build
from tests.helpers.toy_algorithm import ToyPictures


def save(path, **memory):
    state = {f'memory.{name}': value for name, value in memory.items()}
    torch.save(dict(state_dict=dict(state, other=torch.ones(1))), path)
    return str(path)


def test_only_the_memory_is_read(tmp_path):
    path = save(tmp_path / 'a.pth', columns=torch.eye(3))
    memory = _read_memory(read_checkpoint(path))
    assert list(memory) == ['columns']
    assert torch.equal(memory['columns'], torch.eye(3))
    assert _read_memory(dict(state_dict=dict(queue_ptr=torch.ones(1)))) == {}


def test_queue_of_the_hosts_moco(tmp_path):
    state = dict(queue=torch.eye(3), queue_ptr=torch.zeros(1))
    memory = _read_memory(dict(state_dict=state))
    assert torch.equal(memory['columns'], torch.eye(3))
    assert dict(_memory_table(memory).rows)['columns'] == '3'
    assert _serves_positives(RunLog(str(tmp_path)), memory) is False


def test_positives_come_the_busiest_first():
    counts = torch.tensor([0, 7, 1, 0, 2], dtype=torch.int32)
    chart = _positives_chart(dict(positives=counts))
    assert chart.series[0].y == [7, 2, 1, 0, 0]
    assert chart.series[1].y == [2.]


@pytest.mark.parametrize('kind, buffers, logged, wanted', [
    ('AdCo', dict(positives=torch.zeros(2)), {}, 'columns .* negatives only'),
    ('CaCo', dict(positives=torch.zeros(2)), {}, 'the counts begin anew'),
    ('Mine', dict(positives=torch.zeros(2)), {}, 'either .*, or the counts'),
    ('Mine', dict(positives=torch.zeros(2)), dict(columns_used=.1),
     'the counts begin anew'),
    ('CLSA', {}, {}, 'columns .* negatives only'),
])
def test_why_no_positives_are_counted(tmp_path, kind, buffers, logged, wanted):
    """A checkpoint of CaCo at the end of an epoch has none either."""
    (tmp_path / 'config.py').write_text(f'model = dict(type="x.{kind}")')
    log = RunLog(
        str(tmp_path), [dict(iter=1, epoch=1, **logged)],
        config=str(tmp_path / 'config.py'))
    note = _positives_chart(buffers, _serves_positives(log, buffers))
    assert re.fullmatch(f'No positives are counted: {wanted}.*', note.text)


def test_numbers_of_the_memory():
    columns = torch.tensor([[3., 0.], [4., 1.]])
    table = _memory_table(
        dict(
            columns=columns,
            filled=torch.tensor(2),
            positives=torch.tensor([3, 0])))
    rows = dict(table.rows)
    assert rows['columns'] == '2'
    assert rows['norm: mean, least, largest'] == '3.000, 1.000, 5.000'
    assert rows['filled with keys'] == '2 columns'
    assert '50.0%' in rows.values() and '100.0%' in rows.values()


def test_norms_are_counted():
    columns = torch.zeros(4, 100)
    columns[0] = torch.linspace(1, 2, 100)
    bars, = _norms_chart(columns).series
    assert sum(bars.y) == 100
    assert min(bars.x) == pytest.approx(1.0125) and max(
        bars.x) == pytest.approx(1.9875)
    # those of a queue are all one
    bars, = _norms_chart(F.normalize(torch.randn(4, 30), dim=0)).series
    assert sum(bars.y) == 30


def test_drift_is_the_angle_of_an_epoch(tmp_path):
    """Two columns, turned by 10 degrees an epoch and not at all."""

    def turned(degrees):
        angle = torch.tensor([degrees, 0.]).deg2rad()
        return torch.stack([angle.cos(), angle.sin()]) * 3

    for epoch in (5, 10, 12):
        save(tmp_path / f'epoch_{epoch}.pth', columns=turned(10. * epoch))
    chart = _drift_chart(RunLog(str(tmp_path)))
    mean, most = chart.series
    assert mean.x == [7.5, 11.]
    assert mean.y == pytest.approx([5., 5.], abs=0.02)
    assert most.y == pytest.approx([9.5, 9.5], abs=0.02)
    logged = _drift_chart(RunLog(str(tmp_path), drift={3: .7, 4: .8}))
    assert [s.x for s in logged.series] == [[2.5, 3.5]]
    assert logged.series[0].y == [.7, .8]
    (tmp_path / 'epoch_5.pth').unlink()
    (tmp_path / 'epoch_10.pth').unlink()
    assert 'takes two checkpoints' in _drift_chart(RunLog(str(tmp_path))).text


class Features:
    """Stands for the features of a run: random ones of a small CaCo."""

    def __init__(self, model):
        torch.manual_seed(0)
        dataset = ToyPictures()
        rows = np.arange(len(dataset))
        labels = np.array([dataset.get_data_info(i)['gt_label'] for i in rows])
        self.model = model
        self.test = Extracted(dataset, rows, labels, torch.rand(len(rows), 64))

    thumbs = np.zeros((21, 56, 56, 3), np.uint8)

    def class_names(self, labels):
        return [f'class {i}' for i in labels]

    def projected(self, pooled):
        from caco_ext.visualization import RunFeatures
        return RunFeatures.projected(self, pooled)


def test_columns_among_features():
    features = Features(build('CaCo').eval())
    columns = features.model.memory.columns
    positives = torch.zeros(columns.size(1), dtype=torch.int32)
    positives[:10] = 1
    chart = _among_features(features, columns, positives)
    assert [len(s.x) for s in chart.series] == [21, 10, columns.size(1) - 10]
    # what PCA of the two together gives
    queries = features.projected(features.test.pooled)
    torch.testing.assert_close(queries.norm(dim=1), torch.ones(21))
    together = torch.cat([queries, F.normalize(columns.t(), dim=1)]).double()
    together -= together.mean(0)
    plane = torch.linalg.svd(together).Vh[:2]
    wanted = (together @ plane.T)[:21].abs()
    drawn = torch.tensor([chart.series[0].x, chart.series[0].y]).t().abs()
    torch.testing.assert_close(drawn.double(), wanted, atol=1e-3, rtol=1e-3)
    assert len(_among_features(features, columns).series) == 2
    note = _among_features(features, torch.randn(5, 40))
    assert isinstance(note, Note) and 'not in the space' in note.text


def embed_clusters(method):
    """Points of three clusters, which have to stay apart."""
    torch.manual_seed(0)
    centres = torch.eye(3, 32).repeat_interleave(20, 0)
    features = centres + torch.randn(60, 32) * 0.02
    points = embed(features, method)
    assert points.shape == (60, 2) and points.dtype == np.float32
    groups = points.reshape(3, 20, 2)
    middle = groups.mean(1)
    inside = np.linalg.norm(groups - middle[:, None], axis=2).max()
    between = min(
        np.linalg.norm(middle[a] - middle[b])
        for a, b in ((0, 1), (0, 2), (1, 2)))
    assert between > 2 * inside
    return features, points


@pytest.mark.parametrize('method', ['pca', 'tsne'])
def test_clusters_stay_apart(method):
    embed_clusters(method)
    # Equal features too have their places.
    centres = torch.eye(3, 32).repeat_interleave(20, 0)
    assert np.isfinite(embed(centres, 'pca')).all()


def test_methods_that_are_not_there(monkeypatch):
    with pytest.raises(ValueError, match="'isomap' is unknown"):
        check_method('isomap')
    with pytest.raises(ValueError, match='3 pictures are too few'):
        embed(torch.rand(3, 4), 'pca')
    monkeypatch.setattr(sys, 'path', [])
    monkeypatch.delitem(sys.modules, 'umap', raising=False)
    with pytest.raises(
            ImportError, match='UMAP needs umap-learn.*caco_ext.report'):
        check_method('umap')


def test_a_series_for_each_class():
    points = np.arange(8.).reshape(4, 2)
    series = _class_series(points, np.array([1, 0, 1, 1]), list('babb'))
    assert [s.name for s in series] == ['a', 'b']
    assert series[1].x == [0., 4., 6.] and series[1].thumbs == [0, 2, 3]
