"""What the hardware cannot do is said in one line, before the first batch.

There is no GPU here: what torch says of one is replaced.
"""
import re
import shutil
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner

from caco_ext.engine import device_checks
from caco_ext.models.memories import FeatureQueue
from caco_ext.utils import environment
from caco_ext.utils.errors import one_line
from caco_ext.utils.launchers import processes_on_node
from tests.helpers.tiny_runs import config, write_pictures

OUT_OF_MEMORY = torch.cuda.OutOfMemoryError(
    'CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total '
    'capacity of 8.00 GiB of which 1.00 GiB is free. Of the allocated memory '
    '1 GiB is reserved. See PYTORCH_ALLOC_CONF')


@pytest.fixture
def machine(monkeypatch):
    """A machine with a GPU that torch cannot use, and the reason."""

    def make(reason, visible=None, cuda='13.0', devices=('/dev/nvidia0', )):

        def init():
            raise RuntimeError(reason)

        monkeypatch.setattr(environment, 'glob', lambda pattern: list(devices))
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
        monkeypatch.setattr(torch.cuda, 'init', init)
        monkeypatch.setattr(torch.version, 'cuda', cuda)
        monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
        if visible is not None:
            monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)

    return make


OLD_DRIVER = 'The NVIDIA driver on your system is too old (found version ' \
    '11040). Please update your GPU driver by downloading'
HIDDEN = 'No CUDA GPUs are available'


@pytest.mark.parametrize('given, said', [
    (dict(reason=HIDDEN, visible=''),
     'CUDA_VISIBLE_DEVICES= hides it; unset it or name a GPU, as in '
     'CUDA_VISIBLE_DEVICES=0, or set CUDA_VISIBLE_DEVICES=-1 to use the CPU'),
    (dict(reason=HIDDEN,
          visible='9'), 'CUDA_VISIBLE_DEVICES=9 hides it; unse'),
    (dict(reason=OLD_DRIVER),
     r'\(CUDA 13.0\) cannot use it: The NVIDIA driver on your system is too '
     r'old \(found version 11040\); install a newer driver, or the build of '
     'torch for this one, or set CUDA_VISIBLE_DEVICES=-1'),
    (dict(reason=OLD_DRIVER, visible='0'), 'is too old .* a newer driver'),
    (dict(
        reason='Torch not compiled with CUDA enabled', cuda=None,
        visible=''), r'\(CUDA None\) cannot use it: Torch not compiled .*'
     'the build of torch'),
])
def test_a_gpu_that_torch_cannot_use(machine, given, said):
    machine(**given)
    with pytest.raises(RuntimeError, match=said) as caught:
        device_checks.check_gpu()
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('given', [
    dict(reason=HIDDEN, visible='-1'),
    dict(reason='Found no NVIDIA driver', visible='', devices=()),
])
def test_a_cpu_that_is_meant(machine, given):
    machine(**given)
    device_checks.check_gpu()


@pytest.mark.parametrize('capability, expected', [((7, 5), 'float16'),
                                                  ((8, 0), 'bfloat16'),
                                                  ((9, 0), 'bfloat16')])
def test_type_of_mixed_precision(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, 'get_device_capability',
                        lambda: capability)
    assert environment.amp_dtype('cuda') == expected
    assert environment.amp_dtype('cpu') == 'bfloat16'


def runner_of(wrapper=AmpOptimWrapper, **options):
    weight = torch.nn.Parameter(torch.zeros(1))
    return SimpleNamespace(
        optim_wrapper=wrapper(
            optimizer=torch.optim.SGD([weight], lr=1.), **options),
        train_dataloader=SimpleNamespace(batch_size=64))


def model_of(temperature):
    model = torch.nn.Module()
    model.memory = torch.nn.Module()
    model.memory.temperature = 1e-6
    model.head = torch.nn.Module()
    model.head.temperature = temperature
    return model


@pytest.fixture
def gpu(monkeypatch):
    """An old GPU."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda: 'Tesla T4')
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda: (7, 5))


@pytest.mark.parametrize('options, temperature, said', [
    (dict(dtype='bfloat16'), 0.2,
     'dtype=bfloat16: Tesla T4 is too old for it; use --cfg-options '
     'optim_wrapper.dtype=float16'),
    (dict(), 1e-5, 'overflows with temperature=1e-05 of model.head; use one '
     'above 2e-05, or --cfg-options optim_wrapper.dtype=bfloat16'),
    (dict(dtype='float16', loss_scale=65536.), 1e-2,
     'temperature=0.01 of model.head and optim_wrapper.loss_scale=65536; use '
     "loss_scale='dynamic'"),
])
def test_precision_that_cannot_work(gpu, options, temperature, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        device_checks.check_precision(
            runner_of(**options), model_of(temperature))


def test_precision_that_works(gpu, monkeypatch):
    check = device_checks.check_precision
    check(runner_of(), model_of(1e-2))
    check(runner_of(loss_scale=512.), model_of(1e-2))
    check(runner_of(OptimWrapper), model_of(1e-6))
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda: (8, 0))
    check(runner_of(dtype='bfloat16'), model_of(1e-6))
    # On a CPU mixed precision is bfloat16.
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    check(runner_of(), model_of(1e-6))


def test_a_memory_that_does_not_fit(monkeypatch):
    queue = FeatureQueue(num_columns=2**20, dim=32)

    def full(tensor):
        raise OUT_OF_MEMORY

    with pytest.raises(RuntimeError) as caught:
        torch.nn.Sequential(queue)._apply(full)
    assert one_line(caught.value).startswith(
        'model.memory.num_columns=1048576 with dim=32 takes 0.13 GiB, which '
        'the GPU has not free: use fewer columns')


def test_a_full_gpu():
    assert one_line(OUT_OF_MEMORY) == (
        'CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total '
        'capacity of 8.00 GiB of which 1.00 GiB is free; lower '
        'train_dataloader.batch_size, or train with --amp')


def loader_runner(workers=8, prefetch=4):
    views = [torch.zeros(3, 224, 224, dtype=torch.uint8) for _ in range(2)]
    dataset = [dict(inputs=views, data_samples='a picture')]
    return SimpleNamespace(
        train_dataloader=SimpleNamespace(
            num_workers=workers,
            prefetch_factor=prefetch,
            batch_size=128,
            dataset=dataset))


def test_shared_memory(monkeypatch):
    """Two views of 224 pixels are 301,056 bytes; 1.15 GiB in all."""
    needed = 8 * 4 * 128 * 301056

    def leave(free):
        monkeypatch.setattr(shutil, 'disk_usage',
                            lambda folder: SimpleNamespace(free=free))

    leave(needed)
    device_checks.check_shared_memory(loader_runner())
    leave(needed - 1)
    with pytest.raises(ValueError) as caught:
        device_checks.check_shared_memory(loader_runner())
    assert str(caught.value) == (
        'train_dataloader needs up to 1.15 GiB of /dev/shm on each machine: '
        '1 process(es) x num_workers=8 x prefetch_factor=4 x 36.8 MiB a '
        'batch, but 1.15 GiB are free; start the container with --shm-size '
        '3g, or lower one of these')
    device_checks.check_shared_memory(loader_runner(prefetch=3))
    device_checks.check_shared_memory(loader_runner(workers=0))


@pytest.mark.parametrize('environ, expected', [
    (dict(), 1),
    (dict(LOCAL_WORLD_SIZE='8', SLURM_STEP_TASKS_PER_NODE='1'), 8),
    (dict(OMPI_COMM_WORLD_LOCAL_SIZE='4'), 4),
    (dict(SLURM_STEP_TASKS_PER_NODE='8(x4),2'), 8),
    (dict(SLURM_STEP_TASKS_PER_NODE='2,16(x3)'), 16),
])
def test_processes_on_a_node(environ, expected):
    assert processes_on_node(environ) == expected


@pytest.mark.parametrize(
    'name', ['check_gpu', 'check_precision', 'check_shared_memory'])
def test_a_run_is_checked_before_it_trains(tmp_path, monkeypatch, name):

    def refuse(*args):
        raise ValueError(f'{name} refuses')

    monkeypatch.setattr(device_checks, name, refuse)
    runner = Runner.from_cfg(
        config(write_pictures(tmp_path), tmp_path / 'run', 'CARE'))
    with pytest.raises(ValueError, match=f'{name} refuses'):
        runner.train()
    assert runner.iter == 0
