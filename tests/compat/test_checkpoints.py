import io
import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner.checkpoint import _load_checkpoint

from caco_ext.compat import checkpoints
from tests.helpers.host_checkpoint import NUMBERS, SCHEDULERS


def test_every_scheduler_of_mmengine_is_covered():
    covered = {PARAM_SCHEDULERS.get(name) for name in SCHEDULERS}
    bases = {b for c in covered for b in c.__mro__}
    for cls in PARAM_SCHEDULERS.module_dict.values():
        # Momentum and generic variants share the state of one base class.
        if cls.__module__.startswith('mmengine'):
            assert bases & set(cls.__mro__[:3]), cls


def test_loads_all_that_a_runner_writes(checkpoint_path):
    loaded = _load_checkpoint(checkpoint_path, map_location='cpu')
    hub = MessageHub('resumed')
    hub.load_state_dict(loaded['message_hub'])
    loss = hub.get_scalar('train/loss')
    assert isinstance(loss, HistoryBuffer)
    assert loss.data[0].tolist() == pytest.approx([1, 1 / 2, 1 / 3])
    # The statistics are pickled by name and have to come back as methods.
    assert loss.statistics('mean') == pytest.approx(11 / 18)
    assert loss.statistics('current') == pytest.approx(1 / 3)
    for i, number in enumerate(NUMBERS):
        assert hub.get_info(f'number{i}') == number
        assert hub.get_info(f'number{i}').dtype == number.dtype
        assert hub.get_info(f'numbers{i}').dtype == number.dtype
    assert loaded['meta']['dataset_meta'].palette.shape == (2, 3)
    one_cycle = loaded['param_schedulers']['OneCycleLR', 'cos']
    assert one_cycle['anneal_func'](0., 1., 0.5) == pytest.approx(0.5)


def test_files_of_the_other_numpy_are_read():
    # numpy 2 renamed the module that the files name.
    here = np.array(1.).__reduce__()[0].__module__
    there = ('numpy._core.multiarray'
             if here == 'numpy.core.multiarray' else 'numpy.core.multiarray')
    file = io.BytesIO()
    torch.save({
        'a': np.arange(3),
        'b': np.float32(2)
    },
               file,
               _use_new_zipfile_serialization=False)
    old = b'c' + here.encode() + b'\n'
    assert old in file.getvalue()
    data = file.getvalue().replace(old, b'c' + there.encode() + b'\n')
    loaded = torch.load(io.BytesIO(data))
    assert loaded['a'].tolist() == [0, 1, 2] and loaded['b'] == 2


class Attack:

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('call', [
    (getattr, (HistoryBuffer, '__init__')),
    (getattr, (HistoryBuffer, 'from_checkpoint')),
    (getattr, (dict, 'mean')),
    (eval, ('1', )),
    (__import__, ('os', )),
    (PARAM_SCHEDULERS.get, ('StepLR', )),
])
def test_the_check_stays_on(call):
    file = io.BytesIO()
    torch.save({'x': Attack(*call)}, file)
    file.seek(0)
    with pytest.raises((pickle.UnpicklingError, ValueError)):
        torch.load(file)


def test_older_torch_needs_nothing(monkeypatch):

    def add_safe_globals(classes):
        raise AssertionError('torch < 2.5 does not have it')

    monkeypatch.setattr(torch, '__version__', '2.4.1+cpu')
    monkeypatch.setattr(torch.serialization, 'add_safe_globals',
                        add_safe_globals)
    in_force, why = checkpoints.allow_checkpoint_classes()
    assert not in_force and '2.4.1' in why


def test_the_forks_way_round_the_check_is_closed(monkeypatch, tmp_path):
    from mmengine.runner import checkpoint

    def unsafe(file, map_location=None):
        return torch.load(file, map_location, weights_only=False)

    monkeypatch.setattr(checkpoint, '_safe_torch_load', unsafe, raising=False)
    checkpoints.allow_checkpoint_classes()
    torch.save(dict(a=print), tmp_path / 'a.pth')
    with pytest.raises(pickle.UnpicklingError, match='GLOBAL print'):
        checkpoint._safe_torch_load(tmp_path / 'a.pth', map_location='cpu')
    torch.save(dict(a=1), tmp_path / 'a.pth')
    assert checkpoint._safe_torch_load(tmp_path / 'a.pth') == dict(a=1)
