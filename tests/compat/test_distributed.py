"""The stock trainer of mmselfsup on a machine without an accelerator."""
import json
import os.path as osp

import numpy as np
import pytest
from PIL import Image

from tests.helpers import ROOT
from tests.helpers.processes import CPU, run
from tests.helpers.warm_python import warm_python

pytestmark = pytest.mark.slow

CONFIG = """
_base_ = [
    'mmselfsup::selfsup/_base_/models/mocov2.py',
    'mmselfsup::selfsup/_base_/datasets/imagenet_mocov2.py',
    'mmselfsup::selfsup/_base_/default_runtime.py',
]
custom_imports = dict(imports=['caco_ext'])
model = dict(
    queue_len=16,
    feat_dim=8,
    backbone=dict(depth=18, base_channels=4, norm_cfg=dict(type='SyncBN')),
    neck=dict(in_channels=32, hid_channels=8, out_channels=8))
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        _delete_=True,
        type='mmcls.CustomDataset',
        data_root='data',
        metainfo=dict(source=dict(name='noise')),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='MultiView', num_views=2,
                 transforms=[[dict(type='Resize', scale=16)]]),
            dict(type='PackSelfSupInputs', meta_keys=['img_path'])
        ]))
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=1,
         convert_to_iter_based=True),
    dict(type='OneCycleLR', eta_max=0.01, total_steps=9, by_epoch=False)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1)
default_hooks = dict(
    logger=dict(interval=1),
    checkpoint=dict(interval=1))
visualizer = dict(
    vis_backends=[
        dict(type='LocalVisBackend'),
        dict(type='TensorboardVisBackend')
    ])
"""


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in 'ab':
        (tmp_path / 'data' / name).mkdir(parents=True)
        for i in range(4):
            picture = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / f'data/{name}/{i}.png')
    (tmp_path / 'moco.py').write_text(CONFIG)
    return tmp_path


def stock_trainer(folder, *args, processes=0):
    """Run mmselfsup's own tools/train.py; return its output and scalars."""
    import mmselfsup
    tool = osp.join(osp.dirname(mmselfsup.__file__), '.mim/tools/train.py')
    launch = []
    if processes:
        launch = [
            '-m', 'torch.distributed.run', '--standalone',
            f'--nproc_per_node={processes}'
        ]
        args += ('--launcher', 'pytorch')
    command = (*launch, tool, 'moco.py', '--work-dir', 'run', *args)
    output = run(warm_python(), *command, cwd=folder, env=CPU)
    scalars = []
    for path in sorted(folder.glob('run/*/vis_data/scalars.json')):
        scalars = [json.loads(line) for line in path.open()]
    return output, scalars


def test_trains_with_amp_and_resumes_in_two_processes(folder):
    _, scalars = stock_trainer(folder, '--amp')
    assert [s['step'] for s in scalars] == [1, 2]

    output, scalars = stock_trainer(
        folder,
        '--resume',
        '--cfg-options',
        'train_cfg.max_epochs=2',
        processes=2)
    assert 'resumed epoch: 1, iter: 2' in output
    # Eight pictures, two processes of four: one step an epoch.
    assert [s['epoch'] for s in scalars] == [2]
    assert np.isfinite(scalars[0]['loss'])
    assert (folder / 'run/epoch_2.pth').is_file()
    for noise in ('broadcast_buffers', 'MultiScaleDeformable',
                  'FutureWarning'):
        assert noise not in output


def test_stock_launcher_wants_a_gpu(stock_errors):
    assert 'NVIDIA' in stock_errors['launch'] or 'CUDA' in stock_errors[
        'launch']


LAUNCHERS = {
    'pytorch':
    dict(RANK='0', LOCAL_RANK='0', WORLD_SIZE='1'),
    'slurm':
    dict(
        SLURM_PROCID='0',
        SLURM_NTASKS='1',
        SLURM_NODELIST='localhost',
        SLURM_LOCALID='0'),
    'mpi':
    dict(
        OMPI_COMM_WORLD_LOCAL_RANK='0',
        OMPI_COMM_WORLD_SIZE='1',
        OMPI_COMM_WORLD_RANK='0'),
}
LAUNCH = """
import json, os, sys, torch
import caco_ext
import torch.distributed as dist
from mmengine.dist import init_dist, get_backend, collect_results
from mmengine.model import MMDistributedDataParallel

set_device = torch.cuda.set_device
for launcher, variables in json.loads(sys.argv[1]).items():
    os.environ.update(variables, MASTER_ADDR='127.0.0.1', MASTER_PORT='0')
    init_dist(launcher, backend='nccl')
    assert get_backend() == 'gloo'
    assert torch.cuda.set_device is set_device
    assert collect_results([dict(a=1)], 1) == [dict(a=1)]
    linear = torch.nn.Linear(2, 2)
    MMDistributedDataParallel(module=linear, device_ids=[0])(torch.ones(1, 2))
    try:
        MMDistributedDataParallel.__init__.__wrapped__(
            MMDistributedDataParallel.__new__(MMDistributedDataParallel),
            module=linear, device_ids=[0])
    except ValueError as error:
        assert 'device_ids' in str(error)
    else:
        raise AssertionError('DDP has taken device_ids')
    dist.destroy_process_group()
print('done', launcher)
"""


def test_launchers_fall_back_to_gloo():
    env = dict(CPU)
    if osp.exists('/sys/class/net/lo'):
        env['GLOO_SOCKET_IFNAME'] = 'lo'
    output = run(
        warm_python(), '-c', LAUNCH, json.dumps(LAUNCHERS), cwd=ROOT, env=env)
    assert output.endswith('done mpi\n')


def test_nothing_changes_where_an_accelerator_is(monkeypatch):
    from caco_ext.compat import distributed
    monkeypatch.setattr(distributed, '_no_accelerator', lambda: False)
    calls = []
    distributed._init_on_cpu(
        lambda *args, **kwargs: calls.append((args, kwargs)),
        'nccl',
        timeout=3)
    assert calls == [(('nccl', ), dict(timeout=3))]
    in_force, why = distributed.launch_on_cpu()
    assert not in_force and 'accelerator' in why


def test_processes_started_together_do_not_run_alone(monkeypatch, tmp_path):
    """A trainer under torchrun without --launcher: refused, not N runs."""
    from mmengine.config import Config
    from mmengine.runner import Runner
    cfg = Config(dict(model=dict(type='ToyModel'), work_dir=str(tmp_path)))
    for name, value in dict(RANK='0', WORLD_SIZE='2').items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match='^torchrun started 2 processes'):
        Runner.from_cfg(cfg)
    monkeypatch.setenv('WORLD_SIZE', '1')
    with pytest.raises(KeyError, match='ToyModel is not in the'):
        Runner.from_cfg(cfg)
