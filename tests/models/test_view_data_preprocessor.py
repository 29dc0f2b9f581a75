"""Batches reach the device without a wait, with the host's numbers."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

import caco_ext  # noqa: F401
from tests.helpers.device_counts import on_fake_gpu

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


def send(cfg, monkeypatch, views=3):
    """What waits for a GPU while it gets a batch."""
    # The host is not imported where tensors are fake.
    kind = MODELS.get(cfg['type'])
    options = {key: value for key, value in cfg.items() if key != 'type'}

    def call(preprocessor):
        batch = [
            torch.empty(4, 3, 8, 8, dtype=torch.uint8) for _ in range(views)
        ]
        return preprocessor(dict(inputs=batch, data_samples=[]), True)[0]

    waits = on_fake_gpu(monkeypatch, lambda: kind(**options), call)
    assert waits.copied >= views
    return waits.found


def test_all_methods_have_a_base():
    names = ('adco', 'caco', 'clsa', 'care', 'mocov2', 'simclr', 'byol',
             'simsiam')
    assert set(names) <= set(PREPROCESSORS) and len(PREPROCESSORS) >= 16


@pytest.mark.parametrize('name', PREPROCESSORS)
def test_no_preset_waits_for_its_batch(name, monkeypatch):
    assert send(PREPROCESSORS[name], monkeypatch) == []


def test_the_hosts_waits_are_noticed(monkeypatch):
    found = send(dict(NORM, type=HOST, bgr_to_rgb=True), monkeypatch)
    assert found.count('index') == 3 and found.count('_to_copy') == 6
    blocking = dict(NORM, type='ViewDataPreprocessor', non_blocking=False)
    assert send(blocking, monkeypatch) == ['_to_copy'] * 3


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
