"""The trainer that another host brings along."""
import importlib.util
import os.path as osp
import sys

import torch

from tests.helpers.processes import run, write_config


def test_the_hosts_own_trainer_trains_and_resumes(tmp_path):
    config = write_config(tmp_path)
    spec = importlib.util.find_spec('mmpretrain')
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
        'default_hooks.setup_check.resume_changes=apply',
        cwd=tmp_path)
    assert 'Epoch(train) [1]' not in again and 'Epoch(train) [2]' in again
    assert 'is not installed' not in first + again
    assert torch.load(tmp_path / 'run/epoch_2.pth')['meta']['iter'] == 4
