"""An iteration hands the device its work and waits for nothing."""
import pytest
import torch

from caco_ext.engine.hooks import NonFiniteError
from caco_ext.utils.async_scalars import AsyncScalars
from tests.helpers.distributed import run_distributed
from tests.helpers.tiny_runs import METHODS, train, write_pictures
from tests.helpers.waits import Waits, count_waits
from tests.reliability.test_finite import poison


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp('pictures'))


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Numbers are read later, as where that pays."""
    monkeypatch.setattr(AsyncScalars, 'pays',
                        staticmethod(lambda device: True))


LATE = dict(
    default_hooks__runtime_info=dict(type='AsyncRuntimeInfoHook'),
    default_hooks__logger__interval=100,
    default_hooks__metrics__interval=100,
    optim_wrapper__type='OptimWrapper')


@pytest.mark.parametrize('method', METHODS)
def test_an_ordinary_iteration_waits_for_nothing(method, data, tmp_path):
    found, reads = count_waits(data, tmp_path, method, **LATE)
    assert found == []
    # The check and the losses of the iteration before.
    assert reads == 2


def count_all(data, folder):
    """AdCo's keys are shuffled, as its norms are not synchronised."""
    options = dict(AdCo=dict(model__backbone__norm_cfg__type='BN'))
    return [
        count_waits(data, folder / method, method, **LATE,
                    **options.get(method, {})) for method in METHODS
    ]


@pytest.mark.slow
def test_nor_does_one_of_two_processes(data, tmp_path):
    for rank in run_distributed(count_all, 2, data, tmp_path):
        # And whether a signal came.
        assert rank == [([], 3)] * len(METHODS)


def test_what_would_wait_is_noticed():
    found = []
    with Waits(found):
        x = torch.arange(3.)
        x.sum().item()
        x[x > 1]
        bool(x[0])
        x[x > 0] = 1
    assert found[0] == '_local_scalar_dense'
    assert {'index', 'index_put_'} <= set(found)
    assert found.count('_local_scalar_dense') == 2


@pytest.mark.parametrize('struck', [2, 5, 6])
def test_a_late_look_names_the_same(struck, data, tmp_path, as_on_a_gpu):
    """Iterations 3 and 6 are the last of their epochs."""
    with pytest.raises(NonFiniteError) as caught:
        train(data, tmp_path, 'CLSA', [poison('input', struck)], **LATE)
    text = str(caught.value)
    assert text.startswith(f'iteration {struck} came to NaN or infinity: ')
    assert 'the loss is nan' in text and text.count('.png') == 8
    saved = sorted(path.name for path in tmp_path.glob('*.pth'))
    assert saved == (['epoch_1.pth'] if struck > 3 else [])
    assert ('epoch_1.pth' in text) == (struck > 3)


def test_late_losses_are_those_of_the_host(data, tmp_path, as_on_a_gpu):
    histories = []
    for name, options in (('host', {}), ('late', LATE)):
        runner = train(
            data, tmp_path / name, 'CLSA',
            **dict(
                options,
                optim_wrapper__type='OptimWrapper',
                default_hooks__logger__interval=2))
        losses = runner.message_hub.get_scalar('train/loss_contrast')
        histories.append(losses.data[0].tolist())
    assert len(histories[0]) == 6 and histories[0] == histories[1]
