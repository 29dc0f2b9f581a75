import inspect
import warnings

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner
from torch.utils.data import Dataset

from caco_ext.compat import hosts


@pytest.mark.slow
def test_stock_mmengine_cannot_resume(stock_errors):
    assert 'Weights only load failed' in stock_errors['resume']


@pytest.mark.slow
def test_registries_find_the_loops_of_mmengine(stock_errors):
    assert "No module named 'mmselfsup.engine.runner'" in stock_errors[
        'registry']

    from mmengine.runner import EpochBasedTrainLoop
    from mmselfsup import registry
    assert registry.LOOPS.get('EpochBasedTrainLoop') is EpochBasedTrainLoop
    assert registry.RUNNERS.get('Runner') is Runner
    registry.RUNNER_CONSTRUCTORS.import_from_location()
    assert hosts.mend_registry_locations()[0]


class Numbers(Dataset):

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.tensor(index)


@pytest.fixture
def inherited_loader():
    # What `_base_ = 'mmselfsup::...'` makes of the loader's config.
    return ConfigDict(
        dataset=Numbers(),
        batch_size=4,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate', _scope_='mmselfsup'))


def test_inherited_collate_fn_is_built(inherited_loader):
    stock = inspect.unwrap(Runner.build_dataloader)
    with pytest.raises(TypeError, match='_scope_'):
        list(stock(inherited_loader))

    batch, = Runner.build_dataloader(inherited_loader)
    assert batch.tolist() == [0, 1, 2, 3]
    # The runner keeps its config for the log and for the checkpoint.
    assert inherited_loader['collate_fn']['_scope_'] == 'mmselfsup'


def test_loader_without_workers():
    loader = dict(
        dataset=Numbers(),
        batch_size=4,
        num_workers=0,
        persistent_workers=True,
        prefetch_factor=2,
        timeout=60,
        multiprocessing_context='fork',
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'))
    with pytest.raises(ValueError, match='num_workers'):
        inspect.unwrap(Runner.build_dataloader)(loader)
    batch, = Runner.build_dataloader(loader)
    assert batch.tolist() == [0, 1, 2, 3]
    # with workers they count
    with_workers = Runner.build_dataloader(dict(loader, num_workers=1))
    assert with_workers.persistent_workers and with_workers.timeout == 60
    assert with_workers.prefetch_factor == 2


def amp_step():
    device = get_device()
    weight = torch.nn.Parameter(torch.ones(3, device=device))
    wrapper = AmpOptimWrapper(
        optimizer=torch.optim.SGD([weight], lr=0.5), loss_scale='dynamic')
    with wrapper.optim_context(torch.nn.Identity()):
        product = torch.ones(2, 3, device=device) @ torch.diag(weight)
    wrapper.update_params(product.sum())
    return weight, product, wrapper


@pytest.mark.slow
def test_amp_on_the_cpu(stock_errors):
    assert 'only available training on gpu' in stock_errors['amp']

    with warnings.catch_warnings():
        warnings.simplefilter('error', FutureWarning)
        weight, product, wrapper = amp_step()
    assert product.dtype == (
        torch.bfloat16 if get_device() == 'cpu' else torch.float16)
    # Two rows of ones: the gradient is 2, unscaled before the step.
    assert weight.tolist() == [0., 0., 0.]
    # An enabled scaler, so that a checkpoint can go on on a GPU.
    state = wrapper.state_dict()['loss_scaler']
    assert state['scale'] == 2.**16 and state['_growth_tracker'] == 1
    wrapper.load_state_dict(wrapper.state_dict())


@pytest.mark.parametrize('message, category, module', [
    ('Fail to import ``MultiScaleDeformableAttention`` from ``mmcv.ops',
     UserWarning, 'mmcv.cnn.bricks.transformer'),
    ("Only use 'alpha' for pillow backend.", UserWarning,
     'mmcv.image.photometric'),
    ('`broadcast_buffers` is deprecated. Use `forward_sync_buffers`',
     FutureWarning, 'mmengine.model.wrappers.distributed'),
    ('pkg_resources is deprecated as an API.', UserWarning,
     'mmengine.utils.package_utils'),
])
def test_noise_is_dropped_and_nothing_else(message, category, module):

    def heard(text, name):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            if quiet:
                hosts.silence_noise()
            warnings.warn_explicit(text, category, 'file.py', 1, module=name)
        return len(caught)

    quiet = False
    assert heard(message, module) == 1
    quiet = True
    assert heard(message, module) == 0
    assert heard('another message', module) == 1
    if 'pkg_resources' not in message:
        assert heard(message, 'elsewhere') == 1


def test_default_hooks_are_removed_by_none(tmp_path):
    hooks = dict(timer=None, knn=None, other=dict(type='EmptyCacheHook'))
    runner = Runner(
        torch.nn.Linear(1, 1), str(tmp_path), experiment_name=tmp_path.name)
    with pytest.raises(AssertionError):
        Runner.register_default_hooks.__wrapped__(runner, hooks)
    runner._hooks = []
    runner.register_default_hooks(hooks)
    names = {type(hook).__name__ for hook in runner.hooks}
    assert 'EmptyCacheHook' in names and 'LoggerHook' in names
    assert 'IterTimerHook' not in names


def test_configs_are_formatted_once(monkeypatch):
    from mmengine.config import config as module
    remedied, calls = module.FormatCode, []

    def stock(text, style_config, **options):
        calls.append(text)
        return text.replace(' ', ''), True

    monkeypatch.setattr(module, 'FormatCode', stock)
    cfg = Config(dict(a=1, b=dict(c=2)))
    assert cfg.pretty_text == cfg.pretty_text and len(calls) == 2
    assert hosts.format_configs_once()[0]
    texts = [cfg.pretty_text for _ in range(3)]
    assert len(calls) == 3 and set(texts) == {'a=1\nb=dict(\nc=2)'}
    cfg.b.c = 3
    assert cfg.pretty_text.endswith('c=3)') and len(calls) == 4
    # and the one in force gives what yapf gives
    assert remedied('a  =  1', dict(based_on_style='pep8'))[0] == 'a = 1\n'
