"""tools/analysis_tools/plot_run.py after a small run."""
import os.path as osp
import re
import runpy
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config

from caco_ext.evaluation import KNNData, KNNFeatures
from caco_ext.visualization import RunFeatures, find_neighbours, read_run
from tests.engine.test_knn_hook import find_hook, make_hook, make_runner
from tests.helpers import ROOT
from tests.helpers.processes import run_tool
from tests.helpers.toy_algorithm import ToyPictures

NAME = 'analysis_tools/plot_run.py'
TOOL = osp.join(ROOT, 'tools', NAME)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A finished run whose config imports the toy classes."""
    work_dir = tmp_path_factory.mktemp('run')
    runner = make_runner(
        work_dir,
        make_hook(train_share=0.8),
        epochs=2,
        cfg=dict(
            custom_imports=dict(imports=['tests.helpers.toy_algorithm']),
            model=dict(type='ToyAlgorithm'),
            custom_hooks=[make_hook(train_share=0.8)]))
    runner.train()
    return str(work_dir), runner


@pytest.mark.slow
def test_neighbours_are_those_of_the_model(run):
    work_dir, runner = run
    log = read_run(work_dir)
    features = RunFeatures(Config.fromfile(log.config), log.checkpoint)
    rows = find_neighbours(features, 4, 3)
    assert len(rows) == 4
    model = runner.model.eval()
    part = find_hook(runner).data.parts[0]
    train, share, labels = part.dataset, part.indices, part.labels

    def feature(picture):
        image = torch.from_numpy(picture[..., ::-1].copy()).permute(2, 0, 1)
        with torch.no_grad():
            vector = model.backbone(image[None] / 255)[-1].mean((2, 3))[0]
        return (vector / vector.norm()).numpy()

    bank = np.stack([
        feature(train[int(i)]['inputs'][0].permute(1, 2, 0).numpy()[..., ::-1])
        for i in share
    ])
    for row in rows:
        query = feature(row.pictures[0])
        best = np.argsort(-(bank @ query))[:3]
        assert row.cosines == pytest.approx(
            (bank @ query)[best].tolist(), abs=1e-5)
        names = [ToyPictures().metainfo['classes'][labels[i]] for i in best]
        assert row.names[1:] == names
        assert row.right == [name == row.names[0] for name in names]
        for picture, i in zip(row.pictures[1:], best):
            expected = train[int(share[i])]['inputs'][0].permute(1, 2, 0)
            assert (picture[..., ::-1] == expected.numpy()).all()


@pytest.mark.parametrize('hooks', [
    dict(default_hooks=dict(knn=make_hook(), logger=None)),
    dict(default_hooks=None, custom_hooks=[dict(type='A'),
                                           make_hook()]),
])
def test_hook_is_found_wherever_it_stands(hooks):
    assert KNNData.of_run(Config(hooks)).k == 5
    with pytest.raises(ValueError, match='has no KNNHook'):
        KNNData.of_run(Config(dict(custom_hooks=[dict(type='A')])))


@pytest.mark.slow
def test_tool(run):
    work_dir, _ = run
    output = run_tool(NAME, work_dir, '--queries', '3', cwd=ROOT)
    assert osp.getsize(osp.join(work_dir, 'curves.png')) > 10000
    assert osp.getsize(osp.join(work_dir, 'neighbours.png')) > 10000
    lines = output.strip().splitlines()
    assert lines[-2:] == [
        f'curves: {work_dir}/curves.png',
        f'neighbours: {work_dir}/neighbours.png'
    ]
    log = read_run(work_dir)
    assert f'kNN top-1 of the untrained network: {log.untrained_knn:.2f} %' \
        in lines
    last = f'kNN top-1 after epoch 2: {log.knn_by_epoch()[1][1]:.2f} %'
    assert any(line.startswith(last) for line in lines)
    assert re.search(r'class: \d+ of 15', output)


@pytest.mark.slow
def test_report_of_an_unknown_method(run):
    """What does not apply to a method is said, the rest is shown."""
    work_dir, _ = run
    output = run_tool(NAME, work_dir, '--report', cwd=ROOT)
    assert output.endswith(f'report: {work_dir}/report.html\n')
    with open(osp.join(work_dir, 'report.html'), encoding='utf-8') as file:
        text = file.read()
    assert 'The checkpoint holds no memory' in text
    assert 'Not shown: the config has no train_dataloader' in text
    assert text.count('Not shown: ') == 1
    assert text.count('<figure') > 8 * 6
    assert '33 pictures of the test set' in text


def test_errors(run, tmp_path, monkeypatch, capsys):

    def run_here(*args):
        monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(TOOL, run_name='__main__')
        return stop.value.code

    work_dir, _ = run
    assert 'no logged losses' in run_here(tmp_path)
    assert 'error: no checkpoint none.pth' in run_here(work_dir,
                                                       '--checkpoint',
                                                       'none.pth')
    wrong = tmp_path / 'wrong.pth'
    torch.save(dict(state_dict={'backbone.x': torch.ones(1)}), wrong)
    assert 'does not hold the backbone of this config' in run_here(
        work_dir, '--checkpoint', wrong)
    assert run_here(work_dir, '--queries', '0') == 2
    assert '--queries 0 must be at least 1' in capsys.readouterr().err


@pytest.mark.slow
def test_features_that_the_run_kept_serve_its_last_checkpoint(tmp_path):
    hook = make_hook(save_features=True, train_share=0.8)
    cfg = dict(model=dict(type='ToyAlgorithm'), custom_hooks=[hook])
    runner = make_runner(tmp_path, hook, epochs=2, cfg=cfg)
    runner.train()
    log = read_run(str(tmp_path))
    path = tmp_path / KNNFeatures.file_name

    def found(checkpoint):
        features = RunFeatures(log.cfg, str(checkpoint))
        return features.train, features.test

    kept = found(log.checkpoint)
    path.unlink()
    for a, b in zip(kept, found(log.checkpoint)):
        np.testing.assert_array_equal(a.rows, b.rows)
        np.testing.assert_array_equal(a.labels, b.labels)
        torch.testing.assert_close(a.pooled, b.pooled)

    # Marked, to see whose they are.
    marked = find_hook(runner).extract(runner.model)
    marked.test += 1
    torch.save(dict(vars(marked), iter=runner.iter), path)
    assert torch.equal(found(log.checkpoint)[1].pooled, marked.test)
    assert not torch.equal(
        found(tmp_path / 'epoch_1.pth')[1].pooled, marked.test)
