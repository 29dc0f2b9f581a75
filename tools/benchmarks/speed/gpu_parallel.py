"""Section 'parallel' of gpu_check.py: several processes train together.

NCCL takes one process a GPU. Where there is one GPU, two processes share it
through gloo, which shows that the numbers are right, and one process uses
NCCL alone, which shows what waits.
"""
import math
import os
import os.path as osp
import tempfile
import time
from datetime import timedelta
from typing import Iterator, Tuple

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from gpu_rows import Check, Row
from gpu_training import PRESETS, Training, precisions
from gpu_waits import Waits
from torch import Tensor
from torch.nn import SyncBatchNorm
from torch.nn import functional as F
from torch.nn.modules import batchnorm

# Seconds that a rank waits for the others before all end with an error.
TIMEOUT = 60
# Normalised maps in a step of CaCo with ResNet-50: forward passes of both
# encoders and two views, 53 layers in the backbone and two in the neck.
PASSES = 220


def sync_bn_numbers(check: Check) -> None:
    """Forward and backward over all ranks against the whole batch."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    whole, weight = (
        torch.randn(4 * ranks, 8, 5, 5, dtype=torch.float64) for _ in range(2))
    whole = (3 * whole + 2).requires_grad_()
    out = F.batch_norm(whole, None, None, training=True)
    (out * weight).sum().backward()
    part = slice(4 * rank, 4 * rank + 4)
    mine = whole.detach()[part].float().to(check.device).requires_grad_()
    layer = SyncBatchNorm(8).to(check.device)
    got = layer(mine.contiguous(memory_format=torch.channels_last))
    (got * weight[part].to(got)).sum().backward()
    check.close('SyncBN, forward', got, out[part], 1e-4)
    check.close('SyncBN, backward', mine.grad, whole.grad[part], 1e-4)
    # The first step of the running mean, of momentum 0.1.
    check.close('SyncBN, running mean', layer.running_mean,
                0.1 * whole.detach().mean(dim=(0, 2, 3)), 1e-4)


def sync_bn_time(check: Check) -> None:
    """What a layer calls on several ranks, beside a plain layer."""
    layers = 50
    x = torch.randn(64, 256, 14, 14, device=check.device, dtype=torch.bfloat16)
    x = x.contiguous(memory_format=torch.channels_last)
    one, zero = x.new_ones(256).float(), x.new_zeros(256).float()
    mean, var = zero.clone(), one.clone()

    def synced() -> None:
        for _ in range(layers):
            batchnorm.sync_batch_norm.apply(x, one, zero, mean, var, 1e-5, 0.1,
                                            dist.group.WORLD,
                                            dist.get_world_size())

    def plain() -> None:
        for _ in range(layers):
            F.batch_norm(x, mean, var, one, zero, True, 0.1, 1e-5)

    more = (check.milliseconds(synced) - check.milliseconds(plain)) / layers
    with Waits() as waits:
        synced()
    waits.report(
        check, f'SyncBN, {layers} layers',
        f'{1e3 * more:.0f} us a layer beyond plain BN; '
        f'{PASSES * more:.1f} ms in a step of CaCo')


def spread(value: Tensor) -> float:
    """Largest difference between the ranks."""
    low, high = value.clone(), value.clone()
    dist.all_reduce(low, dist.ReduceOp.MIN)
    dist.all_reduce(high, dist.ReduceOp.MAX)
    return float((high - low).abs().max())


def train(check: Check, method: str) -> None:
    """Steps of a method with DDP: the ranks stay together, nothing waits."""
    nccl = dist.get_backend() == 'nccl'
    precision = precisions(check)[1] if check.on_gpu else 'fp32'
    batch = 4 if check.tiny else 16
    training = Training(
        method, check.device, precision, batch, check.tiny, parallel=True)
    # Each rank has its own pictures.
    training.views = [(view + 7 * dist.get_rank()).contiguous()
                      for view in training.views]
    for _ in range(3):
        losses = training.step()
    apart = {name: spread(x) for name, x in training.state().items()}
    # Sums over the ranks may come in another order on each.
    faults = [f'{k} differs by {v:.1e}' for k, v in apart.items()
              if not v <= 1e-5]  # yapf: disable
    loss = float(losses['loss'])
    if not math.isfinite(loss):
        faults.append(f'loss {loss}')
    check.say(f'DDP, {method} {precision}', 'WRONG' if faults else 'ok',
              '; '.join(faults) or f'loss {loss:.3f}')
    if not nccl:
        return  # gloo goes through the CPU, which has to wait
    with Waits() as waits:
        training.step()
    dist.barrier()
    check.wait()
    start = time.perf_counter()
    for _ in range(5):
        training.step()
    check.wait()
    rate = 5 * batch * dist.get_world_size() / (time.perf_counter() - start)
    waits.report(check, f'DDP, {method} {precision}, a step',
                 f'{rate:.0f} pictures/s on all GPUs, {batch} on each')


def run_rank(rank: int, check: Check, ranks: int, backend: str,
             folder: str) -> None:
    """What each process does; the rows are those of rank 0."""
    if rank:
        check.send = drop
    if check.on_gpu:
        torch.cuda.set_device(rank % torch.cuda.device_count())
        check.device = torch.device('cuda', torch.cuda.current_device())
    else:
        torch.set_num_threads(1)
    os.environ.setdefault('GLOO_SOCKET_IFNAME', 'lo')
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(ranks))
    dist.init_process_group(
        backend,
        'file://' + osp.join(folder, 'meet'),
        rank=rank,
        world_size=ranks,
        timeout=timedelta(seconds=TIMEOUT))
    if ranks > 1:
        sync_bn_numbers(check)
    if backend == 'nccl':
        sync_bn_time(check)
    for method in PRESETS:
        train(check, method)
        check.tidy()
    dist.destroy_process_group()


def drop(row: Row) -> None:
    """Take the rows of the other ranks."""


def groups(check: Check) -> Iterator[Tuple[int, str]]:
    """Processes and backend of each group that is tried in turn."""
    count = torch.cuda.device_count() if check.on_gpu else 0
    if count:
        yield count, 'nccl'
    if count < 2:
        yield 2, 'gloo'


def parallel(check: Check) -> None:
    """SyncBN and DDP."""
    for ranks, backend in groups(check):
        what = f'{ranks} process(es) with {backend}'
        with check.guard(what), tempfile.TemporaryDirectory() as folder:
            mp.start_processes(
                run_rank, (check, ranks, backend, folder),
                nprocs=ranks,
                start_method='spawn')
            check.say(what, 'ok', 'all ended')
