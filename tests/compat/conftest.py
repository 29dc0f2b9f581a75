import json

import pytest
import torch

from tests.helpers import ROOT
from tests.helpers.host_checkpoint import checkpoint
from tests.helpers.processes import CPU, run
from tests.helpers.warm_python import warm_python

# Each case stands for a remedy; none is there, as caco_ext is not imported.
CODE = """
import json, sys, torch

def registry():
    from mmselfsup.registry import LOOPS
    LOOPS.get('EpochBasedTrainLoop')

def resume():
    from mmengine.runner.checkpoint import _load_checkpoint
    _load_checkpoint(sys.argv[1], map_location='cpu')

def amp():
    from mmengine.optim import AmpOptimWrapper
    weight = torch.nn.Parameter(torch.ones(3))
    AmpOptimWrapper(optimizer=torch.optim.SGD([weight], lr=1.))

def launch():
    import os
    os.environ.update(RANK='0', LOCAL_RANK='0', WORLD_SIZE='1',
                      MASTER_ADDR='127.0.0.1', MASTER_PORT='0')
    from mmengine.dist import init_dist
    init_dist('pytorch', backend='nccl')

errors = {}
for case in (registry, resume, amp, launch):
    try:
        case()
    except Exception as error:
        errors[case.__name__] = f'{type(error).__name__}: {error}'
print(json.dumps(errors))
"""


@pytest.fixture(scope='session')
def checkpoint_path(tmp_path_factory):
    """str: A file with all that a runner writes."""
    path = tmp_path_factory.mktemp('compat') / 'epoch_3.pth'
    torch.save(checkpoint(), path)
    return str(path)


@pytest.fixture(scope='session')
def stock_errors(checkpoint_path):
    """dict[str, str]: What fails, and how, without the remedies."""
    output = run(warm_python(), '-c', CODE, checkpoint_path, cwd=ROOT, env=CPU)
    return json.loads(output.splitlines()[-1])
