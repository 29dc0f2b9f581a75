"""Find out before the first batch what the hardware cannot do."""
import os
import shutil
from typing import Any, Iterator

import torch
from mmengine.dist import all_reduce, is_distributed
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from caco_ext.evaluation import preserve_rng
from caco_ext.utils.environment import computes_bfloat16, why_no_gpu
from caco_ext.utils.launchers import processes_on_node
from .setup_checks import optim_wrappers

SHARED_MEMORY = '/dev/shm'


def check_gpu() -> None:
    """Refuse the CPU of a machine with an NVIDIA GPU, unless it is asked for.

    Raises:
        RuntimeError: torch does not find the GPU. Says why, and the way out.
    """
    reason = why_no_gpu()
    if reason is not None:
        raise RuntimeError(reason)


def check_precision(runner: Runner, model: nn.Module) -> None:
    """Refuse mixed precision that the GPU or the temperature does not allow.

    Args:
        runner (Runner): The runner, with its optimizer built.
        model (nn.Module): The model, without a wrapper.

    Raises:
        ValueError: The GPU has no bfloat16. Or numbers of the loss exceed
            float16. Names the option and the way out.
    """
    if not torch.cuda.is_available():
        return  # mixed precision on a CPU is bfloat16
    for wrapper in optim_wrappers(runner):
        if not isinstance(wrapper, AmpOptimWrapper):
            continue
        if wrapper.cast_dtype == torch.bfloat16 and not computes_bfloat16():
            raise ValueError(
                'optim_wrapper.dtype=bfloat16: '
                f'{torch.cuda.get_device_name()} is too old for it; use '
                '--cfg-options optim_wrapper.dtype=float16')
        if wrapper.cast_dtype in (None, torch.float16):
            _check_float16(wrapper, model, runner.train_dataloader.batch_size
                           or 1)


def _check_float16(wrapper: AmpOptimWrapper, model: nn.Module,
                   batch_size: int) -> None:
    """Compare 1 / T with float16's largest number.

    A host's logits grow to 1 / T, and so does the gradient of a query's loss.
    The mean divides it by the batch; the scaler multiplies it, and lowers its
    scale only if that is not fixed.
    """
    most = torch.finfo(torch.float16).max
    scale = wrapper._scale_update_param
    for name, module in model.named_modules():
        temperature = getattr(module, 'temperature', None)
        if not isinstance(temperature, float) or name == 'memory':
            continue  # the bank computes in float32, apart from the gradients
        what = f'float16 overflows with temperature={temperature:g} of ' \
            f'model.{name}'
        if 1 / temperature > most:
            raise ValueError(
                f'{what}; use one above {1 / most:.1g}, or --cfg-options '
                'optim_wrapper.dtype=bfloat16')
        if scale is not None and scale / temperature / batch_size > most:
            raise ValueError(
                f'{what} and optim_wrapper.loss_scale={scale:g}; use '
                "loss_scale='dynamic', or --cfg-options "
                'optim_wrapper.dtype=bfloat16')


def check_shared_memory(runner: Runner) -> None:
    """Refuse loaders whose batches do not fit into the shared memory.

    Workers pass batches through it. Where it is full, they die of ``Bus
    error``. All ranks must call it: the memory is read before any rank's
    workers start.

    Args:
        runner (Runner): The runner.

    Raises:
        ValueError: There is too little. Says how much is needed, and why.
    """
    loader = runner.train_dataloader
    if not loader.num_workers or not os.path.isdir(SHARED_MEMORY):
        return
    with preserve_rng():
        # Without a number, the batches' sizes are a sampler's own affair.
        size = (loader.batch_size or 0) * sum(_tensor_bytes(loader.dataset[0]))
    processes = processes_on_node(os.environ) if is_distributed() else 1
    needed = processes * loader.num_workers * loader.prefetch_factor * size
    free = torch.tensor(shutil.disk_usage(SHARED_MEMORY).free)
    all_reduce(free, 'min')
    if needed > free:
        gib = -(-needed // 2**30) + 1
        raise ValueError(
            f'train_dataloader needs up to {needed / 2**30:.2f} GiB of '
            f'{SHARED_MEMORY} on each machine: {processes} process(es) x '
            f'num_workers={loader.num_workers} x prefetch_factor='
            f'{loader.prefetch_factor} x {size / 2**20:.1f} MiB a batch, but '
            f'{int(free) / 2**30:.2f} GiB are free; start the container with '
            f'--shm-size {gib}g, or lower one of these')


def _tensor_bytes(value: Any) -> Iterator[int]:
    """Bytes of the tensors in a sample."""
    if isinstance(value, Tensor):
        yield value.nbytes
    elif isinstance(value, (dict, list, tuple)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensor_bytes(part)
