"""tools/benchmarks/speed/bench_train.py."""
import json
import time

import pytest
import torch

from tests.helpers.processes import write_config
from .test_train import refusal


def test_parts_make_up_the_step(call_tool, tmp_path, capsys):
    config = write_config(tmp_path)
    start = time.perf_counter()
    call_tool('benchmarks/speed/bench_train', config, '--steps', '4',
              '--warm-up', '1')
    whole = time.perf_counter() - start
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line['steps'] == 4 and line['batch'] == 4
    assert line['threads'] == torch.get_num_threads()
    parts = line['seconds']
    assert list(parts) == [
        'data', 'normalise', 'queries', 'ema', 'keys', 'losses', 'backward',
        'optimizer', 'bank', 'rest'
    ]
    assert all(value >= 0 for value in parts.values())
    # An update of weights costs less than passes through the network.
    assert min(parts['backward'], parts['keys']) > parts['ema']
    # Inner parts are not counted twice.
    assert 4 / line['images_per_second'] * 4 < whole
    assert sum(parts.values()) < 2 * 4 / line['images_per_second']
    assert line['peak_memory_mib'] > 100


@pytest.mark.parametrize('steps', ['0', '-1'])
def test_wrong_number_of_steps(call_tool, tmp_path, steps):
    line = refusal(call_tool, 'benchmarks/speed/bench_train',
                   write_config(tmp_path), f'--steps={steps}')
    assert f'--steps {steps} must be at least 1' in line
