"""An iteration hands the device its work and waits for nothing."""
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch.utils._python_dispatch import (TorchDispatchMode,
                                          _get_current_dispatch_mode_stack)

from caco_ext.engine.hooks import NonFiniteError
from caco_ext.utils.async_scalars import AsyncScalars
from tests.helpers.tiny_runs import METHODS, train, write_pictures
from tests.reliability.test_finite import poison

# What needs a value, or a shape that depends on values, on the host.
WAITING = ('_local_scalar_dense', 'nonzero', 'is_nonzero', 'equal',
           'masked_select', '_unique2', 'unique_dim', 'bincount', 'allclose')
METHODS_OF_TENSORS = ('cpu', 'numpy', 'tolist', 'new_tensor')


class Waits(TorchDispatchMode):
    """Notes each call that would wait for a device.

    Args:
        found (list): Gets their names.
    """

    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        masks = args[1] if name in ('index', 'index_put', 'index_put_',
                                    '_index_put_impl_') else ()
        if name in WAITING or any(mask is not None and mask.dtype == torch.bool
                                  for mask in masks):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


class Counted:
    """The second of three iterations: neither the first, which sets up, nor
    the last, which logs and saves."""
    mode = None


@HOOKS.register_module(name='CountWaitsBegin')
class Begin(Hook):
    priority = 'HIGHEST'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 1:
            Counted.mode.__enter__()


@HOOKS.register_module(name='CountWaitsEnd')
class End(Hook):
    priority = 'LOWEST'

    def after_train_iter(self, runner, batch_idx, *args, **kwargs):
        if runner.iter == 1:
            Counted.mode.__exit__(None, None, None)
            Counted.mode = None


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
def test_an_ordinary_iteration_waits_for_nothing(method, data, tmp_path,
                                                 as_on_a_gpu, monkeypatch):
    found, read_late = [], []
    monkeypatch.setattr(Counted, 'mode', Waits(found))
    plain = {name: getattr(torch.Tensor, name) for name in METHODS_OF_TENSORS}

    def note(name):

        def noted(tensor, *args, **kwargs):
            if is_counting():
                found.append(name)
            return plain[name](tensor, *args, **kwargs)

        return noted

    def is_counting():
        modes = _get_current_dispatch_mode_stack()
        return any(isinstance(mode, Waits) for mode in modes)

    def read_uncounted(self):
        if is_counting():
            read_late.append(self)
        return plain['tolist'](self._host)

    for name in METHODS_OF_TENSORS:
        monkeypatch.setattr(torch.Tensor, name, note(name))
    monkeypatch.setattr(AsyncScalars, 'read', read_uncounted)
    train(
        data,
        tmp_path,
        method,
        custom_hooks=[
            dict(type='CountWaitsBegin'),
            dict(type='CountWaitsEnd')
        ],
        **LATE)
    assert found == []
    # The check and the losses of the iteration before.
    assert len(read_late) == 2


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
