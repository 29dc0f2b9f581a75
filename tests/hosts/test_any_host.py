"""The same numbers on every host, and a host's own trainer."""
import importlib.util
import os.path as osp
import sys

import pytest
import torch

from tests.models.toys import build, pictures, total
from tests.test_tools.conftest import run, write_config

# Losses of three steps from seed 0, computed beside mmselfsup 1.0.0.
LOSSES = dict(
    AdCo=[2.817120, 2.897702, 3.407881],
    CaCo=[6.786805, 9.525284, 5.389618],
    CLSA=[6.507937, 7.126063, 7.298080],
    CARE=[35.771149, 20.930248, 19.552505])


@pytest.mark.parametrize('method', LOSSES)
def test_losses_do_not_depend_on_the_host(method):
    model = build(method)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for step in range(3):
        loss = total(model.loss(pictures(model.num_views, seed=step)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == pytest.approx(LOSSES[method], rel=1e-4)


def test_the_hosts_own_trainer_trains_and_resumes(tmp_path):
    config = write_config(tmp_path)
    spec = next(
        s for s in map(importlib.util.find_spec, ('mmselfsup', 'mmpretrain'))
        if s)
    tool = osp.join(spec.submodule_search_locations[0], '.mim/tools/train.py')
    first = run(
        sys.executable, tool, config, '--work-dir', 'run', cwd=tmp_path)
    assert 'knn/top1' in first and 'Epoch(train) [1][2/2]' in first
    again = run(
        sys.executable,
        tool,
        config,
        '--work-dir',
        'run',
        '--resume',
        '--cfg-options',
        'train_cfg.max_epochs=2',
        cwd=tmp_path)
    assert 'Epoch(train) [1]' not in again and 'Epoch(train) [2]' in again
    assert 'is not installed' not in first + again
    assert torch.load(tmp_path / 'run/epoch_2.pth')['meta']['iter'] == 4
