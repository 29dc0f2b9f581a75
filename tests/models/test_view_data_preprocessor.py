"""Batches reach the device without a wait, with the host's numbers."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import caco_ext  # noqa: F401

BASES = Path(__file__).parents[2] / 'configs/selfsup/_base_'
HOST = 'mmselfsup.SelfSupDataPreprocessor'
NORM = dict(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


def preprocessors():
    """Those of all models in ``_base_``, by the name of the file."""
    found = {}
    for path in sorted((BASES / 'models').glob('*.py')):
        model = Config.fromfile(path).get('model')
        if model and 'type' in model:
            found[path.stem] = model.data_preprocessor
    return found


PREPROCESSORS = preprocessors()


class Waits(TorchDispatchMode):
    """Notes what makes the CPU wait for a GPU: a blocking copy between them,
    and an index that was a list."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.copied = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        if name in ('index', 'index_put', 'index_put_'):
            self.found.append(name)
        source = {'_to_copy': 0, 'copy_': 1}.get(name)
        if source is not None and args[source].device != out.device:
            self.copied += 1
            position = args[2:3] if name == 'copy_' else ()
            if not kwargs.get('non_blocking', any(position)):
                self.found.append(name)
        return out


def send(cfg, views=3):
    """Preprocess a batch on a GPU that need not exist."""
    with FakeTensorMode():
        preprocessor = MODELS.build(dict(cfg)).to('cuda')
        batch = [
            torch.empty(4, 3, 8, 8, dtype=torch.uint8) for _ in range(views)
        ]
        with Waits() as waits:
            out, _ = preprocessor(dict(inputs=batch, data_samples=[]), True)
    assert all(view.device.type == 'cuda' for view in out)
    assert waits.copied >= views
    return waits.found


def test_all_methods_have_a_base():
    names = ('adco', 'caco', 'clsa', 'care', 'mocov2', 'simclr', 'byol',
             'simsiam')
    assert set(names) <= set(PREPROCESSORS) and len(PREPROCESSORS) >= 16


@pytest.mark.parametrize('name', PREPROCESSORS)
def test_no_preset_waits_for_its_batch(name):
    assert send(PREPROCESSORS[name]) == []


def test_the_hosts_waits_are_noticed():
    found = send(dict(NORM, type=HOST, bgr_to_rgb=True))
    assert found.count('index') == 3 and found.count('_to_copy') == 6
    blocking = dict(NORM, type='ViewDataPreprocessor', non_blocking=False)
    assert send(blocking) == ['_to_copy'] * 3


@pytest.mark.parametrize(
    'path',
    sorted((BASES / 'datasets').glob('*.py')),
    ids=lambda path: path.stem)
def test_batches_are_in_pinned_memory(path):
    cfg = Config.fromfile(path)
    assert cfg.train_dataloader.pin_memory is True


@pytest.mark.parametrize('options', [
    dict(NORM, bgr_to_rgb=True),
    NORM,
    dict(bgr_to_rgb=True),
    {},
])
@pytest.mark.parametrize('dtype', [torch.uint8, torch.float32])
def test_equals_the_host_bit_by_bit(options, dtype):
    torch.manual_seed(0)
    batch = [
        torch.randint(0, 256, (5, 3, size, size + 3)).to(dtype)
        for size in (32, 17)
    ]
    before = [view.clone() for view in batch]
    samples = [object()] * 5
    results = [
        MODELS.build(dict(type=kind, **options))(dict(
            inputs=list(batch), data_samples=samples), True)
        for kind in ('ViewDataPreprocessor', HOST)
    ]
    assert results[0][1] == results[1][1] == samples
    for own, host in zip(results[0][0], results[1][0]):
        assert own.dtype == host.dtype == torch.float32
        assert torch.equal(own, host) and own.stride() == host.stride()
    assert all(map(torch.equal, batch, before))
