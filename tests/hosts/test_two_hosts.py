"""A run that goes to another host and back."""
import os
import os.path as osp
import sys

import torch

from tests.helpers import ROOT
from tests.helpers.processes import run, write_config

PYTHONS = dict(mmselfsup=os.environ['MMSELFSUP_PYTHON'], here=sys.executable)


def train(folder, work, host, begin=None):
    """Train three epochs, or the rest of them after a checkpoint."""
    resume = () if begin is None else ('--resume', begin)
    run(PYTHONS[host],
        osp.join(ROOT, 'tools', 'train.py'),
        'tiny.py',
        '--work-dir',
        work,
        *resume,
        '--cfg-options',
        'train_cfg.max_epochs=3',
        cwd=folder)
    return torch.load(folder / work / 'epoch_3.pth')['state_dict']


def test_checkpoints_of_either_go_on_at_the_other(tmp_path):
    write_config(tmp_path)
    stayed = train(tmp_path, 'stayed', 'mmselfsup')
    for name, value in train(tmp_path, 'here', 'here',
                             'stayed/epoch_1.pth').items():
        torch.testing.assert_close(value, stayed[name], rtol=1e-4, atol=1e-5)
    for name, value in train(tmp_path, 'back', 'mmselfsup',
                             'here/epoch_2.pth').items():
        torch.testing.assert_close(value, stayed[name], rtol=1e-4, atol=1e-5)
