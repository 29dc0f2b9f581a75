"""What work for a GPU is made of, counted where there is none."""
from collections import Counter

import torch
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

# Calls that start no kernel: they make another view of a tensor, or memory.
_FREE = frozenset(
    ('alias', 'as_strided', 'detach', 'device', 'empty', 'empty_like',
     'expand', 'lift_fresh', 'new_empty', 'permute', 'select', 'slice',
     'split', 'split_with_sizes', 'squeeze', 't', 'transpose', 'unbind',
     'unsqueeze', 'unsqueeze_', 'view', '_unsafe_view'))


class Kernels(TorchDispatchMode):
    """Counts calls that start a kernel or a copy, by their names."""

    def __init__(self):
        super().__init__()
        self.names = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name not in _FREE:
            self.names[name] += 1
        return func(*args, **(kwargs or {}))

    def __len__(self):
        return sum(self.names.values())


class Waits(TorchDispatchMode):
    """Notes what makes the CPU wait for a GPU: a blocking copy between them,
    and an index that was a list. Counts the copies."""

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


def on_fake_gpu(monkeypatch, build, call):
    """Waits of a module on a GPU that need not exist.

    Args:
        monkeypatch (MonkeyPatch): Fake memory cannot be pinned.
        build (Callable): Makes the module.
        call (Callable): Is called with it, and gives tensors.
    """
    monkeypatch.setattr(torch.Tensor, 'pin_memory', lambda tensor: tensor)
    with FakeTensorMode():
        module = build().to('cuda')
        with Waits() as waits:
            out = call(module)
    assert all(one.device.type == 'cuda' for one in out)
    return waits
