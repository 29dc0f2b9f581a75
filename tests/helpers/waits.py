"""Counts what would make the CPU wait for a GPU."""
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch.utils._python_dispatch import (TorchDispatchMode,
                                          _get_current_dispatch_mode_stack)

from caco_ext.utils.async_scalars import AsyncScalars
from tests.helpers.tiny_runs import train

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


def is_counting():
    modes = _get_current_dispatch_mode_stack()
    return any(isinstance(mode, Waits) for mode in modes)


def count_waits(data, work_dir, method, **options):
    """Train, with numbers read as late as where that pays.

    Returns:
        tuple[list[str], int]: Calls of the second iteration that would wait
        for a device, and how often it reads what an earlier one has sent.
    """
    found, reads = [], []
    plain = {name: getattr(torch.Tensor, name) for name in METHODS_OF_TENSORS}

    def note(name):

        def noted(tensor, *args, **kwargs):
            if is_counting():
                found.append(name)
            return plain[name](tensor, *args, **kwargs)

        return noted

    def read_uncounted(self):
        if is_counting():
            reads.append(self)
        return plain['tolist'](self._host)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Counted, 'mode', Waits(found))
        patch.setattr(AsyncScalars, 'pays', staticmethod(lambda device: True))
        for name in METHODS_OF_TENSORS:
            patch.setattr(torch.Tensor, name, note(name))
        patch.setattr(AsyncScalars, 'read', read_uncounted)
        hooks = [dict(type='CountWaitsBegin'), dict(type='CountWaitsEnd')]
        train(data, work_dir, method, custom_hooks=hooks, **options)
    return found, len(reads)
