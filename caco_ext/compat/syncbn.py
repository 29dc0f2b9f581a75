# Licensed under the Apache License, Version 2.0.
"""Synchronised batch normalisation: on the CPU, and without waits on a GPU."""
from typing import Any, Callable, Optional, Tuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import Module, SyncBatchNorm
from torch.nn.modules import _functions, batchnorm
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from caco_ext.utils.patching import replaces
from .versions import Outcome


class _SumOverRanks(torch.autograd.Function):
    """Sum over the ranks of a group.

    Each rank's loss depends on each rank's summand, so the gradient is a sum
    over the ranks, too.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Optional[Any]) -> Tensor:
        ctx.group = group
        x = x.clone()
        dist.all_reduce(x, group=group)
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tuple[Tensor, None]:
        return _SumOverRanks.apply(grad.contiguous(), ctx.group), None


def _cross_rank_batch_norm(module: SyncBatchNorm, x: Tensor,
                           group: Any) -> Tensor:
    """Normalise with mean and variance of the batches of all ranks.

    Args:
        module (SyncBatchNorm): In training mode; its running statistics are
            updated.
        x (Tensor): (N, C, ...), with an N that may differ between the ranks
            and may be 0 on some.
        group (ProcessGroup): The ranks that share their statistics.

    Returns:
        Tensor: Shape, dtype and memory format of ``x``.

    Raises:
        ValueError: If the ranks have one value per channel together.
    """
    dims = [d for d in range(x.dim()) if d != 1]
    shape = [1, -1] + [1] * (x.dim() - 2)
    values = x if x.dtype == torch.float64 else x.float()
    # Moments about each rank's own mean, combined in double precision. Sums of
    # squares about zero would lose the variance of channels with large means.
    count = x.numel() // x.size(1)
    mean = values.sum(dims) / max(count, 1)
    spread = (values - mean.view(shape)).square().sum(dims)
    mean, spread = mean.double(), spread.double()
    moments = torch.cat([
        count * mean, spread + count * mean.square(),
        mean.new_full((1, ), count)
    ])
    total, squares, size = _SumOverRanks.apply(moments, group).split(
        [x.size(1), x.size(1), 1])
    size = size.detach()
    # Only ranks with so few values have to read the sum.
    if count < 2 and size.item() < 2:
        raise ValueError('SyncBatchNorm needs more than 1 value per channel '
                         'over all ranks in training, got '
                         f'{int(size.item())} with input {tuple(x.shape)}')
    mean = total / size
    var = (squares / size - mean.square()).clamp(min=0)
    _update_running_stats(module, mean.detach(),
                          var.detach() * size / (size - 1))
    scale = (var + module.eps).rsqrt().to(values.dtype)
    if module.weight is not None:
        scale = scale * module.weight
    out = (values - mean.to(values.dtype).view(shape)) * scale.view(shape)
    if module.bias is not None:
        out = out + module.bias.view(shape)
    return out.to(x.dtype)


def _update_running_stats(module: Any, mean: Tensor, var: Tensor) -> None:
    """Update the running statistics, as ``F.batch_norm`` does, with mean and
    unbiased variance over all ranks, (C, ).
    """
    if not module.track_running_stats:
        return
    module.num_batches_tracked.add_(1)
    # Without a momentum the statistics are the average over all batches.
    factor = (1.0 / module.num_batches_tracked.item()
              if module.momentum is None else module.momentum)
    for running, new in ((module.running_mean, mean), (module.running_var,
                                                       var)):
        running.lerp_(new.to(running.dtype), factor)


def sync_batchnorm_on_cpu() -> Outcome:
    """Let ``SyncBatchNorm`` work on tensors on the CPU.

    What breaks: any torch. ``SyncBatchNorm`` refuses tensors on the CPU once a
    process group exists, and DDP refuses models that contain it. So two gloo
    processes cannot run such a config, nor give the results of one process
    with the whole batch.

    Remedy: on the CPU, in training, share mean and variance by a
    differentiable all-reduce; with one process, or in evaluation, use plain
    batch normalisation. Other devices are left to torch. This covers
    ``norm_cfg=dict(type='SyncBN')`` too, whose class derives from torch's.

    Needed until torch synchronises on the CPU itself.
    """

    @replaces(SyncBatchNorm, 'forward')
    def forward_anywhere(forward: Callable, self: SyncBatchNorm,
                         input: Tensor) -> Tensor:
        if (input.device.type != 'cpu' or not self.training
                or not dist.is_available() or not dist.is_initialized()):
            return forward(self, input)
        self._check_input_dim(input)
        group = self.process_group or dist.group.WORLD
        if dist.get_world_size(group) == 1:
            return _BatchNorm.forward(self, input)
        return _cross_rank_batch_norm(self, input, group)

    @replaces(DistributedDataParallel, '_passing_sync_batchnorm_handle')
    def refuse_elsewhere(refuse: Callable, self: DistributedDataParallel,
                         module: Module) -> None:
        if self.device_type != 'cpu':
            refuse(self, module)

    return True, 'torch refuses SyncBatchNorm on the CPU'


# Newer releases of torch have another name for it and warn of this one.
_gather = getattr(dist, 'all_gather_single', dist.all_gather_into_tensor)


class _NormOverRanks(_functions.SyncBatchNorm):
    """torch's synchronised normalisation, with a forward that never waits.

    torch removes the statistics of ranks with an empty batch by a boolean
    mask. Its result has a size that only the device knows, so the CPU waits.
    Here such a rank takes part with a weight too small to change a sum.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Optional[Tensor],
                bias: Optional[Tensor], running_mean: Optional[Tensor],
                running_var: Optional[Tensor], eps: float, momentum: float,
                group: Any, ranks: int) -> Tensor:
        formats = torch.channels_last, torch.channels_last_3d
        if not any(x.is_contiguous(memory_format=f) for f in formats):
            x = x.contiguous()
        channels = x.size(1)
        count = x.numel() // channels
        if count:
            mean, invstd = torch.batch_norm_stats(x, eps)
        else:
            kind = torch.promote_types(x.dtype, torch.float32)
            mean = torch.zeros(channels, dtype=kind, device=x.device)
            invstd = torch.ones_like(mean)
        stored = mean.dtype if running_mean is None else running_mean.dtype
        least = torch.finfo(stored).tiny
        moments = torch.cat(
            [mean, invstd, mean.new_full((1, ), count or least)])
        gathered = moments.new_empty(ranks * len(moments))
        _gather(gathered, moments, group)
        means, invstds, counts = gathered.view(ranks, -1).split(
            [channels, channels, 1], 1)
        mean, invstd = torch.batch_norm_gather_stats_with_counts(
            x, means, invstds, running_mean, running_var, momentum, eps,
            counts.flatten().to(stored))
        # What torch's backward takes; it has no wait.
        ctx.save_for_backward(x, weight, mean, invstd, counts.int())
        ctx.process_group = group
        if not count:
            return torch.empty_like(x)
        return torch.batch_norm_elemt(x, weight, bias, mean, invstd, eps)


def sync_batchnorm_without_waits() -> Outcome:
    """Let ``SyncBatchNorm`` on a GPU run ahead of the device.

    What breaks: torch up to 2.14 waits for the device three times in each
    layer and forward pass (https://github.com/pytorch/pytorch/issues/78549).
    A step of CaCo with ResNet-50 has 220 such passes.

    Remedy: the same kernels and the same communication without the mask that
    waits. The numbers are torch's. A rank with an empty batch still works.

    Needed until torch does without the mask.
    """
    setattr(batchnorm, 'sync_batch_norm', _NormOverRanks)
    return True, 'torch waits three times in each layer'
