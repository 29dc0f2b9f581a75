# Licensed under the Apache License, Version 2.0.
"""Defects of mmengine and mmselfsup that affect any run."""
import copy
import functools
import glob
import os
import re
import warnings
from typing import Any, Callable

from caco_ext.utils.environment import installed_version
from caco_ext.utils.names import nearest_names
from caco_ext.utils.patching import replaces
from .versions import Outcome


def mend_registry_locations() -> Outcome:
    """Point three registries of mmselfsup to a module that exists.

    What breaks: mmselfsup 1.0.0, ``Runner.train()`` ends with ``No module
    named 'mmselfsup.engine.runner'``, because RUNNERS, RUNNER_CONSTRUCTORS and
    LOOPS name it as their location and the release lacks it.

    Remedy: let them import ``mmselfsup.engine``.

    Needed while mmselfsup 1.0.0, its last release, is a host.
    """
    if installed_version('mmselfsup') is None:
        return False, 'mmselfsup is not installed'
    from mmselfsup import registry
    missing = 'mmselfsup.engine.runner'
    # `find_spec` would import mmselfsup.engine and with it all models.
    engine = os.path.join(os.path.dirname(registry.__file__), 'engine')
    if glob.glob(os.path.join(engine, 'runner*')):
        return False, f'this mmselfsup has {missing}'
    for reg in (registry.RUNNERS, registry.RUNNER_CONSTRUCTORS,
                registry.LOOPS):
        if missing in reg._locations:
            reg._locations = ['mmselfsup.engine']
    return True, f'mmselfsup names {missing}, which it does not contain'


def build_inherited_collate_fn() -> Outcome:
    """Build a ``collate_fn`` that a config inherits from another package.

    What breaks: mmengine 0.10. ``_base_ = 'mmselfsup::selfsup/_base_/
    datasets/...'`` writes ``_scope_`` into every dict, and the runner hands it
    on: ``default_collate() got an unexpected keyword argument '_scope_'``.

    Remedy: drop that key from ``collate_fn``.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.runner import Runner

    @replaces(Runner, 'build_dataloader')
    def build_without_scope(build: Callable, dataloader: Any, *args: Any,
                            **kwargs: Any) -> Any:
        collate = (
            dataloader.get('collate_fn')
            if isinstance(dataloader, dict) else None)
        if isinstance(collate, dict) and '_scope_' in collate:
            dataloader = copy.deepcopy(dataloader)
            dataloader['collate_fn'].pop('_scope_')
        return build(dataloader, *args, **kwargs)

    return True, 'mmengine hands _scope_ to collate_fn'


def load_without_workers() -> Outcome:
    """Allow ``num_workers=0`` in any config.

    What breaks: without workers, torch's loader refuses
    ``persistent_workers``, ``prefetch_factor``, ``timeout`` and
    ``multiprocessing_context``. mmengine 0.10 passes them on from the config.

    Remedy: leave them out if ``num_workers`` is 0.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.runner import Runner
    of_workers = ('persistent_workers', 'prefetch_factor', 'timeout',
                  'multiprocessing_context')

    @replaces(Runner, 'build_dataloader')
    def build_without_workers(build: Callable, dataloader: Any, *args: Any,
                              **kwargs: Any) -> Any:
        if isinstance(dataloader, dict) and not dataloader.get('num_workers'):
            dataloader = {
                name: value
                for name, value in dataloader.items() if name not in of_workers
            }
        return build(dataloader, *args, **kwargs)

    return True, 'torch refuses options of workers that are not there'


def mend_mixed_precision() -> Outcome:
    """Make ``--amp`` quiet on a GPU and possible on the CPU.

    What breaks: mmengine 0.10 makes a ``torch.cuda.amp.GradScaler``, of which
    torch >= 2.4 warns as deprecated in every run. It also asserts a GPU,
    although its ``autocast`` uses bfloat16 on the CPU.

    Remedy: make a ``torch.amp.GradScaler`` for the device in use. torch before
    2.3 has none, so there nothing changes.

    Needed while mmengine 0.10 is the engine.
    """
    import torch
    if not hasattr(torch.amp, 'GradScaler'):
        return False, f'torch {torch.__version__} has no torch.amp.GradScaler'
    from mmengine.device import get_device
    from mmengine.optim.optimizer import amp_optimizer_wrapper as module
    device = get_device()
    if device not in ('cpu', 'cuda'):
        return False, f'the device {device} has its own GradScaler'
    module.GradScaler = functools.partial(torch.amp.GradScaler, device)
    if device == 'cpu':
        # mmengine uses this name only to assert that there is a GPU.
        module.is_cuda_available = lambda: True
    return True, f'torch.amp.GradScaler for {device}'


# (part of the message, category, module that warns). These warnings are about
# the hosts' code; a user can do nothing about them.
_NOISE = (
    ('Fail to import ``MultiScaleDeformableAttention``', UserWarning,
     'mmcv.cnn.bricks.transformer'),
    ("Only use 'alpha' for pillow backend", UserWarning,
     'mmcv.image.photometric'),
    ('`broadcast_buffers` is deprecated', FutureWarning, 'mmengine.model'),
    ('pkg_resources is deprecated', UserWarning, ''),
    ("'pin_memory' argument is set as true but no accelerator", UserWarning,
     'torch.utils.data'),
)


def silence_noise() -> Outcome:
    """Drop warnings that appear in every run and need no action.

    What breaks: nothing; but mmcv-lite warns of an operator that pre-training
    does not use, mmcv of an argument that the transform itself passes (once
    per worker), torch >= 2.14 of an argument that mmengine passes to DDP,
    setuptools of ``pkg_resources``, which mmengine imports, and torch of
    ``pin_memory=True`` in a preset where there is no GPU.

    Remedy: a filter for exactly these messages.

    Needed while mmcv 2.0 and mmengine 0.10 are hosts.
    """
    for message, category, module in _NOISE:
        warnings.filterwarnings(
            'ignore',
            message=re.escape(message),
            category=category,
            module=re.escape(module))
    return True, f'{len(_NOISE)} warnings of the hosts are dropped'


def remove_hooks_by_none() -> Outcome:
    """Let ``default_hooks=dict(name=None)`` remove any default hook.

    What breaks: mmengine 0.10 accepts None only for its own six default hooks.
    For other names the runner ends with a bare ``AssertionError``. Options of
    a hook that does not exist, such as a misspelt one, end with a ``KeyError``
    that does not name it.

    Remedy: leave out entries of None, and name an entry without a type.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.runner import Runner

    # For these, mmengine itself handles None: it leaves out the stock hook.
    own = ('runtime_info', 'timer', 'sampler_seed', 'logger',
           'param_scheduler', 'checkpoint')

    @replaces(Runner, 'register_default_hooks')
    def register_without_none(register: Callable,
                              self: Runner,
                              hooks: Any = None) -> None:
        for name, hook in (hooks or {}).items():
            if isinstance(hook, dict) and 'type' not in hook:
                nearest = nearest_names(name, {*own, *hooks} - {name}, 1)
                hint = f'; is {nearest[0]} meant?' if nearest else ''
                raise ValueError(f'default_hooks.{name} has no type{hint}')
        return register(
            self, hooks and {
                name: hook
                for name, hook in hooks.items()
                if hook is not None or name in own
            })

    return True, 'mmengine asserts on default hooks that are None'


def keep_blanks_in_options() -> Outcome:
    """Let ``--cfg-options data_root='/a folder'`` name that folder.

    What breaks: mmengine 0.10 removes all blanks of a value and splits quoted
    text at its commas. A comma in brackets inside a path makes it recurse
    endlessly.

    Remedy: :func:`caco_ext.utils.startup.parse_value`, which otherwise reads
    values in the same way. An installed package applies it when Python starts,
    before a stock trainer reads its command line.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.config import config

    from caco_ext.utils.startup import keep_blanks
    if not keep_blanks(config):
        return False, 'this mmengine has another DictAction'
    return True, 'mmengine removes the blanks of --cfg-options'


def format_configs_once() -> Outcome:
    """Let the text of a config be formatted once.

    What breaks: mmengine 0.10 lets yapf format the whole config five times
    while a run starts and again for each checkpoint, 0.3 s each time for a
    small config and 2 s for a large one.

    Remedy: cache the last texts and their results. A changed config is
    another text.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.config import config as module
    if not hasattr(module, 'FormatCode'):
        # The maintained fork imports it where it calls it.
        from yapf.yapflib import yapf_api as module

    @functools.lru_cache(maxsize=8)
    def formatted(format_code: Callable, text: str, style: tuple,
                  options: tuple) -> Any:
        return format_code(text, style_config=dict(style), **dict(options))

    @replaces(module, 'FormatCode')
    def format_once(format_code: Callable, text: str, style_config: dict,
                    **options: Any) -> Any:
        return formatted(format_code, text, tuple(style_config.items()),
                         tuple(options.items()))

    return True, 'mmengine formats the config for each checkpoint anew'
