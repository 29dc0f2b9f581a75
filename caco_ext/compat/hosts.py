# Licensed under the Apache License, Version 2.0.
"""Defects of mmengine and mmselfsup that any run meets."""
import copy
import functools
import glob
import os
import re
import warnings
from typing import Tuple

from caco_ext.utils.environment import installed_version


def mend_registry_locations() -> Tuple[bool, str]:
    """Point three registries of mmselfsup to a module that exists.

    What breaks: mmselfsup 1.0.0, ``Runner.train()`` ends with ``No module
    named 'mmselfsup.engine.runner'``, because RUNNERS, RUNNER_CONSTRUCTORS
    and LOOPS name it as their location and the release lacks it. Remedy: let
    them import ``mmselfsup.engine``.

    Returns:
        tuple[bool, str]: Whether it is in force, and why.
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


def build_inherited_collate_fn() -> Tuple[bool, str]:
    """Build a ``collate_fn`` that a config inherits from another package.

    What breaks: mmengine 0.10. ``_base_ = 'mmselfsup::selfsup/_base_/
    datasets/...'`` writes ``_scope_`` into every dict, and the runner hands
    it on: ``default_collate() got an unexpected keyword argument
    '_scope_'``. Remedy: drop that key from ``collate_fn``.

    Returns:
        tuple[bool, str]: Whether it is in force, and why.
    """
    from mmengine.runner import Runner
    build = Runner.build_dataloader
    if hasattr(build, 'caco_ext'):
        return True, 'done before'

    @functools.wraps(build)
    def build_without_scope(dataloader, *args, **kwargs):
        collate = (
            dataloader.get('collate_fn')
            if isinstance(dataloader, dict) else None)
        if isinstance(collate, dict) and '_scope_' in collate:
            dataloader = copy.deepcopy(dataloader)
            dataloader['collate_fn'].pop('_scope_')
        return build(dataloader, *args, **kwargs)

    build_without_scope.caco_ext = True
    Runner.build_dataloader = staticmethod(build_without_scope)
    return True, 'mmengine hands _scope_ to collate_fn'


def load_without_workers() -> Tuple[bool, str]:
    """Let ``num_workers=0`` serve in any config.

    What breaks: torch's loader refuses ``persistent_workers``,
    ``prefetch_factor``, ``timeout`` and ``multiprocessing_context`` where
    there are no workers, and mmengine 0.10 hands on what a config has for
    its workers. Remedy: leave them out where ``num_workers`` is 0.

    Returns:
        tuple[bool, str]: Whether it is in force, and why.
    """
    from mmengine.runner import Runner
    build = Runner.build_dataloader
    if hasattr(build, 'load_without_workers'):
        return True, 'done before'
    of_workers = ('persistent_workers', 'prefetch_factor', 'timeout',
                  'multiprocessing_context')

    @functools.wraps(build)
    def build_without_workers(dataloader, *args, **kwargs):
        if isinstance(dataloader, dict) and not dataloader.get('num_workers'):
            dataloader = {
                name: value
                for name, value in dataloader.items() if name not in of_workers
            }
        return build(dataloader, *args, **kwargs)

    build_without_workers.load_without_workers = True
    Runner.build_dataloader = staticmethod(build_without_workers)
    return True, 'torch refuses options of workers that are not there'


def mend_mixed_precision() -> Tuple[bool, str]:
    """Make ``--amp`` quiet on a GPU and possible on the CPU.

    What breaks: mmengine 0.10 makes a ``torch.cuda.amp.GradScaler``, which
    torch >= 2.4 calls deprecated in every run, and asserts a GPU, although
    its ``autocast`` uses bfloat16 on the CPU. Remedy: make a
    ``torch.amp.GradScaler`` for the device in use. Before torch 2.3 there is
    none, and nothing is changed.

    Returns:
        tuple[bool, str]: Whether it is in force, and why.
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
        # The name serves only the assertion that a GPU is there.
        module.is_cuda_available = lambda: True
    return True, f'torch.amp.GradScaler for {device}'


# (part of the message, category, module that warns). All of these speak of
# the hosts' code and say nothing that a user can act on.
_NOISE = (
    ('Fail to import ``MultiScaleDeformableAttention``', UserWarning,
     'mmcv.cnn.bricks.transformer'),
    ("Only use 'alpha' for pillow backend", UserWarning,
     'mmcv.image.photometric'),
    ('`broadcast_buffers` is deprecated', FutureWarning, 'mmengine.model'),
    ('pkg_resources is deprecated', UserWarning, ''),
)


def silence_noise() -> Tuple[bool, str]:
    """Drop warnings that come in every run and need no one's action.

    What breaks: nothing; but mmcv-lite warns of an operator that
    pre-training does not use, mmcv of an argument that the transform itself
    passes (once per worker), torch >= 2.14 of an argument that mmengine
    passes to DDP, and setuptools of ``pkg_resources``, which mmengine
    imports. Remedy: a filter for exactly these messages.

    Returns:
        tuple[bool, str]: Whether it is in force, and why.
    """
    for message, category, module in _NOISE:
        warnings.filterwarnings(
            'ignore',
            message=re.escape(message),
            category=category,
            module=re.escape(module))
    return True, f'{len(_NOISE)} warnings of the hosts are dropped'


def remove_hooks_by_none() -> Tuple[bool, str]:
    """Let ``default_hooks=dict(name=None)`` remove any default hook.

    What breaks: mmengine 0.10 takes None for its own six default hooks only;
    for another name the runner ends with a bare ``AssertionError``. Options
    of a hook that is not there, as of a misspelt one, end with a ``KeyError``
    that does not name it. Remedy: leave entries of None out, and name one
    without a type.

    Returns:
        tuple[bool, str]: Whether it is in force, and why.
    """
    from mmengine.runner import Runner

    from ..utils.names import nearest_names
    register = Runner.register_default_hooks
    if hasattr(register, 'caco_ext'):
        return True, 'done before'
    # For these None has a meaning of its own: not the stock hook.
    own = ('runtime_info', 'timer', 'sampler_seed', 'logger',
           'param_scheduler', 'checkpoint')

    @functools.wraps(register)
    def register_without_none(self, hooks=None):
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

    register_without_none.caco_ext = True
    Runner.register_default_hooks = register_without_none
    return True, 'mmengine asserts on default hooks that are None'


def keep_blanks_in_options() -> Tuple[bool, str]:
    """Let ``--cfg-options data_root='/a folder'`` name that folder.

    What breaks: mmengine 0.10 removes all blanks of a value, parts
    a text in quotes at its commas, and recurses without end at a comma in
    brackets inside a path. Remedy: :func:`caco_ext.utils.startup.parse_value`,
    which reads everything else alike. An installed package applies it when
    Python starts, before a stock trainer reads its command line.

    Returns:
        tuple[bool, str]: Whether it is in force, and why.
    """
    from mmengine.config import config

    from caco_ext.utils.startup import keep_blanks
    if not keep_blanks(config):
        return False, 'this mmengine has another DictAction'
    return True, 'mmengine removes the blanks of --cfg-options'


def format_configs_once() -> Tuple[bool, str]:
    """Let the text of a config be formatted once.

    What breaks: mmengine 0.10 lets yapf format the whole config five times
    while a run starts and again for each checkpoint, 0.3 s each time for a
    small config and 2 s for a large one. Remedy: remember the last texts and
    what became of them. A config that changes is another text.

    Returns:
        tuple[bool, str]: Whether it is in force, and why.
    """
    from mmengine.config import config as module
    if not hasattr(module, 'FormatCode'):
        # The maintained fork imports it where it is called.
        from yapf.yapflib import yapf_api as module
    format_code = module.FormatCode
    if hasattr(format_code, 'caco_ext'):
        return True, 'done before'

    @functools.lru_cache(maxsize=8)
    def formatted(text, style, options):
        return format_code(text, style_config=dict(style), **dict(options))

    @functools.wraps(format_code)
    def format_once(text, style_config, **options):
        return formatted(text, tuple(style_config.items()),
                         tuple(options.items()))

    format_once.caco_ext = True
    module.FormatCode = format_once
    return True, 'mmengine formats the config for each checkpoint anew'
