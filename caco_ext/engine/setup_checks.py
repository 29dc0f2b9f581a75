"""Find mistakes of a config before the first batch."""
import difflib
import inspect
import math
from typing import Any, Iterator, List, Tuple

import torch
from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from caco_ext.evaluation import evaluation_mode, preserve_rng
from caco_ext.models.algorithms.base import BaseMomentumMethod
from caco_ext.models.utils import Schedule, check_view_count


def check_names(cfg: Config) -> None:
    """Refuse a misspelt name at the top level of a config.

    The runner ignores names that it does not know, and a config may define
    its own. So only a name that nearly is one of the runner's is refused.

    Args:
        cfg (Config): The config.

    Raises:
        ValueError: A name is misspelt. Suggests the right one.
    """
    known = set(inspect.signature(Runner.__init__).parameters)
    for name in cfg:
        near = difflib.get_close_matches(name, known, 1, 0.9)
        if near and name not in known:
            raise ValueError(
                f'the config has {name!r}, which nothing reads; is '
                f'{near[0]!r} meant?')


def check_loop(runner: Runner) -> None:
    """Refuse mmengine's iteration loop, which has no epochs.

    Args:
        runner (Runner): The runner, with its loop built.

    Raises:
        ValueError: It is that loop. Names the loop to use.
    """
    if isinstance(runner.train_loop, IterBasedTrainLoop):
        raise ValueError(
            f'train_cfg makes a {type(runner.train_loop).__name__}, which '
            'knows no epochs and cannot be resumed inside one; use '
            "train_cfg=dict(type='IterationTrainLoop', max_iters="
            f'{runner.max_iters})')


def check_numbers(runner: Runner, model: nn.Module) -> None:
    """Refuse coefficients outside their range, and warn of odd ones.

    Args:
        runner (Runner): The runner, with its optimizer built.
        model (nn.Module): The model, without a wrapper.

    Raises:
        ValueError: One is out of range. Names the option and its range.
    """
    for wrapper in optim_wrappers(runner):
        _check_optimizer(wrapper)
    memory: Any = getattr(model, 'memory', None)
    ranges: List[Tuple[str, Any, float]] = []
    for name in ('momentum', 'fill_momentum'):
        value = getattr(model, name, None)
        if isinstance(value, Schedule):
            ranges.append((f'model.{name}', value, 1.))
    if isinstance(getattr(memory, 'lr', None), Schedule):
        ranges.append(('model.memory.lr', memory.lr, math.inf))
        ranges.append(
            ('model.memory.weight_decay', memory.weight_decay, math.inf))
    for name, value, most in ranges:
        ends = (value.start,
                value.end) if isinstance(value, Schedule) else (value, )
        for end in ends:
            if not 0 <= end <= most or end == math.inf:
                raise ValueError(
                    f'{name} has the value {end:g}, which must be between 0 '
                    f'and {most:g}')
        if set(ends) == {most}:
            runner.logger.warning(
                f'{name} is always {most:g}: the key encoder never moves; '
                'the methods use 0.99 to 0.999')
        if name.endswith('lr') and set(ends) == {0.}:
            runner.logger.warning(f'{name} is 0: the bank never moves')


def optim_wrappers(runner: Runner) -> Iterator[OptimWrapper]:
    """Optimizer wrappers, whether there is one optimizer or several.

    Args:
        runner (Runner): The runner, with its optimizer built.

    Yields:
        OptimWrapper: One.
    """
    wrapper = runner.optim_wrapper
    yield from wrapper.values() if isinstance(wrapper,
                                              OptimWrapperDict) else [wrapper]


def _check_optimizer(wrapper: OptimWrapper) -> None:
    """Refuse settings with which an optimizer trains nothing or diverges."""
    ranges = dict(
        lr=(0, math.inf),
        weight_decay=(0, math.inf),
        momentum=(0, 1),
        dampening=(0, math.inf))
    groups = wrapper.optimizer.param_groups
    for name, (least, most) in ranges.items():
        for group in groups:
            # A schedule may have set the value to 0 for the first step.
            value = group.get(f'initial_{name}', group.get(name, least))
            if not least <= value < most:
                raise ValueError(
                    f'optim_wrapper.optimizer.{name}={value:g} must be a '
                    f'number of at least {least:g} and below {most:g}')
    if all(group.get('initial_lr', group['lr']) == 0 for group in groups):
        raise ValueError('optim_wrapper.optimizer.lr=0 trains nothing; use a '
                         'larger one')
    clip = wrapper.clip_grad_kwargs or {}
    for name in ('max_norm', 'clip_value'):
        if not clip.get(name, 1) > 0:
            raise ValueError(
                f'optim_wrapper.clip_grad.{name}={clip[name]:g} leaves no '
                'gradient; use a number above 0, or leave clip_grad out')


def check_batches(runner: Runner, model: nn.Module) -> None:
    """Refuse batches that cannot be trained on.

    Args:
        runner (Runner): The runner.
        model (nn.Module): Its model, without a wrapper.

    Raises:
        ValueError: There is no batch or no iteration. Or batches are too
            small or uneven, or fewer than an optimizer step needs.
    """
    loader, ranks = runner.train_dataloader, get_world_size()
    size, pictures = loader.batch_size or 0, len(loader.dataset)
    option = f'train_dataloader.batch_size={size}'
    if len(loader) == 0:
        raise ValueError(
            f'{option} on {ranks} process(es) is larger than the data set of '
            f'{pictures} pictures, and drop_last=True leaves no batch; use a '
            'smaller batch_size')
    if runner.max_iters < 1:
        raise ValueError(
            f'train_cfg makes a run of {runner.max_epochs} epochs and '
            f'{runner.max_iters} iterations, in which nothing is trained; use '
            'at least one')
    counts = runner.optim_wrapper._accumulative_counts
    if counts > runner.max_iters:
        raise ValueError(
            f'optim_wrapper.accumulative_counts={counts} is more than the '
            f'{runner.max_iters} iterations of the run; use a smaller one')
    memory = getattr(model, 'memory', None)
    columns = getattr(memory, 'num_columns', None)
    if columns is not None and columns < size * ranks:
        raise ValueError(
            f'model.memory.num_columns={columns} is less than the global '
            f'batch of {size * ranks}; use at least as many columns')
    if not loader.drop_last and not getattr(loader.sampler, 'round_up', True) \
            and pictures % ranks:
        raise ValueError(
            f'{pictures} pictures do not divide by {ranks} processes, and '
            'round_up=False of the sampler with drop_last=False gives the '
            'ranks batches of different sizes; set '
            'train_dataloader.drop_last=True or round_up=True')
    rest = len(loader.sampler) % size if size and not loader.drop_last else 0
    normalised = any(
        isinstance(m, _BatchNorm) and (
            ranks == 1 or not isinstance(m, nn.SyncBatchNorm))
        for m in model.modules())
    if normalised and 1 in (size, rest):
        raise ValueError(
            f'{option} with drop_last={loader.drop_last} makes a batch of one '
            'picture, which batch norms cannot be trained on; use at least 2 '
            'pictures and drop_last=True')


def check_progress(runner: Runner) -> None:
    """Refuse to resume a run beyond its end; log if it is already finished.

    Args:
        runner (Runner): The runner, with the checkpoint loaded.

    Raises:
        ValueError: The checkpoint is further than the config asks for.
    """
    done = f'{runner.epoch} epochs and {runner.iter} iterations'
    if runner.epoch > runner.max_epochs or runner.iter > runner.max_iters:
        raise ValueError(
            f'the checkpoint has done {done}, and train_cfg makes a run of '
            f'{runner.max_epochs} and {runner.max_iters}; lengthen it, or '
            'use an earlier checkpoint')
    if runner.iter == runner.max_iters:
        runner.logger.warning(
            f'the run is finished: {done} are done, nothing is left to train; '
            'a longer one needs train_cfg and schedules of its length')


def check_sync_bn(runner: Runner) -> None:
    """Refuse the option ``sync_bn`` if there is only one process.

    Layers of type SyncBN are allowed: mmengine turns them into plain ones if
    there is one process.

    Args:
        runner (Runner): The runner.

    Raises:
        ValueError: ``sync_bn`` is set, and there is only one process.
    """
    if runner.cfg.get('sync_bn') is not None and not runner.distributed:
        raise ValueError(
            f'sync_bn={runner.cfg.sync_bn!r} needs several processes, and '
            'this run has one; start it with tools/dist_train.sh, or leave '
            'sync_bn out')


@torch.no_grad()
def check_trial(runner: Runner, model: nn.Module) -> None:
    """Encode the views of one picture, twice, in evaluation mode.

    This finds mistakes that no single option shows: a pipeline that fails,
    widths that do not match, an attention stack for pictures of another size.
    Weights, batch statistics and random numbers do not change.

    Args:
        runner (Runner): The runner.
        model (nn.Module): Its model, without a wrapper.

    Raises:
        ValueError: The encoding fails. Names the size of the view.
    """
    if not isinstance(model, BaseMomentumMethod):
        return
    loader = runner.train_dataloader
    with preserve_rng(), evaluation_mode(model):
        sample = loader.dataset[0]
        batch = loader.collate_fn([sample, sample])
        preprocess: Any = model.data_preprocessor
        views = preprocess(batch, False)[0]
        check_view_count(len(views), model.num_views)
        for number, view in enumerate(views):
            for encoder in (model, model.key_encoder):
                _encode(model, encoder, view, number)


def _encode(model: Any, encoder: nn.Module, view: torch.Tensor,
            number: int) -> None:
    is_key = encoder is not model
    if number not in (model.key_views if is_key else
                      (*model.query_views, *getattr(model, 'strong_views',
                                                    ()))):
        return
    try:
        model.encode(view, encoder)
    except (RuntimeError, ValueError, TypeError, IndexError,
            AssertionError) as error:
        raise ValueError(
            f'the model cannot encode view {number}, {view.size(-2)} x '
            f'{view.size(-1)} pixels: {error}. Do backbone.out_indices, '
            'in_channels of the necks, img_size of an attention stack and the '
            'sizes of the views fit each other?') from error
