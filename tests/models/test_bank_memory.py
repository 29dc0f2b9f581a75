# Copyright (c) caco_ext authors. All rights reserved.
"""Memory of a step, watched from outside the process."""
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# An array of all cosines would take 1 GiB.
ROWS, COLUMNS, DIM = 256, 2**20, 128
STEP = f'''
import torch
from mmengine.registry import MODELS
from torch.nn import functional as F
import caco_ext
from caco_ext.models import CaCo
torch.set_num_threads(1)
bank = MODELS.build(dict(type='LearnableBank', num_columns={COLUMNS},
                         dim={DIM}, temperature=0.02, init='random'))
bank.velocity.fill_(0)
head = MODELS.build(dict(type='CaCoHead'))
q, k = (F.normalize(torch.randn({ROWS}, {DIM}), dim=1) for _ in range(2))
q.requires_grad_()
print('built', flush=True)
input()
head([q], [k], CaCo.make_pairs((0, ), (1, )), bank)['loss'].backward()
bank.step()
print('moved', flush=True)
input()
'''


def peak(process):
    """Highest resident memory of a process so far, in bytes."""
    with open(f'/proc/{process.pid}/status') as file:
        line = next(line for line in file if line.startswith('VmHWM'))
    return int(line.split()[1]) * 1024


def test_a_million_columns_fit_into_three_gigabytes():
    process = subprocess.Popen([sys.executable, '-c', STEP],
                               stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE,
                               text=True)
    peaks = []
    for word in ('built', 'moved'):
        assert process.stdout.readline().strip() == word
        peaks.append(peak(process))
        process.stdin.write('\n')
        process.stdin.flush()
    assert process.wait() == 0
    # Bank and velocity take half a GiB each. Beyond them there are blocks and
    # 64 MiB of kept weights, whatever the number of columns.
    assert peaks[1] < 3e9
    assert peaks[1] - peaks[0] < 2**28
