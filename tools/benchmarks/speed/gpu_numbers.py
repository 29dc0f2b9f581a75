"""Sections 'parity' and 'steps' of gpu_check.py: are the numbers right?"""
import math
from argparse import Namespace
from typing import Dict, List, Optional

import torch
from bench_bank import Bench
from gpu_rows import Check
from gpu_training import PRESETS, Training, precisions
from mmengine.registry import MODELS, OPTIMIZERS
from torch import Tensor
from torch.nn import functional as F

from caco_ext.evaluation.knn import knn_correct
from caco_ext.ops import (bank_gradient, bank_logsumexp, nearest_columns,
                          pick_columns, plain_bank_gradient, plain_logsumexp,
                          plain_softmax_mean, softmax_mean)
from caco_ext.ops.spread import effective_rank, feature_std

# Of the softmax, with the allowed error. The first is CaCo's. At the second,
# float32 needs a maximum subtracted.
TEMPERATURES = {0.08: 2e-4, 0.005: 2e-3}
OTHER_TEMPERATURE, DECAY = 0.02, 1e-4
# Of the first loss, against float32 on a CPU. cuDNN convolves in TF32.
LOSS_LIMITS = dict(fp32=5e-3, bf16=5e-2, fp16=2e-2)


def query_weights(queries: Tensor) -> Tensor:
    """Unequal weights of the queries' losses, (N, )."""
    return torch.linspace(-1, 2, len(queries)).to(queries)


def corrections(places: Tensor, dtype: torch.dtype) -> tuple:
    """CaCo's corrections to the bank's gradient, one for each query."""
    rows = torch.arange(len(places), device=places.device)
    return rows, places, torch.full_like(rows, -0.3, dtype=dtype)


def plain_results(queries: Tensor, keys: Tensor, columns: Tensor,
                  temperature: float) -> Dict[str, Tensor]:
    """All that the ops give for a bank, by the plain formulas."""
    q = queries.clone().requires_grad_()
    lse = plain_logsumexp(q, columns, temperature)
    gradient, = torch.autograd.grad((lse * query_weights(q)).sum(), q)
    other = plain_logsumexp(queries, columns, OTHER_TEMPERATURE)
    cosines = keys @ F.normalize(columns, dim=0)
    best, places = cosines.max(dim=1)
    bank = plain_bank_gradient(queries,
                               lse.detach() + math.log(len(queries)), columns,
                               temperature, corrections(places, columns.dtype))
    return {
        'log-sum-exp': lse,
        'log-sum-exp of the bank': other,
        'gradient of the queries': gradient,
        'softmax mean': plain_softmax_mean(queries, columns, temperature),
        'nearest column': best,
        'gradient of the bank': DECAY * columns - bank
    }


def fast_results(queries: Tensor, keys: Tensor, columns: Tensor,
                 temperature: float) -> Dict[str, Tensor]:
    """The same by the ops that training uses."""
    q = queries.clone().requires_grad_()
    lse, other = bank_logsumexp(q, columns, temperature, OTHER_TEMPERATURE)
    gradient, = torch.autograd.grad((lse * query_weights(q)).sum(), q)
    places = nearest_columns(keys, columns)
    bank = torch.empty_like(columns)
    bank_gradient(
        queries,
        lse.detach() + math.log(len(queries)),
        columns,
        temperature,
        lambda part, block: bank[:, part].copy_(block),
        corrections(places, columns.dtype),
        scale=-1,
        decay=DECAY)
    return {
        'log-sum-exp': lse,
        'log-sum-exp of the bank': other,
        'gradient of the queries': gradient,
        'softmax mean': softmax_mean(queries, columns, temperature)[1],
        'nearest column': (keys * pick_columns(places, columns)).sum(dim=1),
        'gradient of the bank': bank
    }


def check_ops(check: Check) -> None:
    """The bank's ops in float32 against plain formulas in float64."""
    torch.manual_seed(0)
    n, c, k = (16, 24, 640) if check.tiny else (64, 128, 65536)
    queries, keys = (
        F.normalize(torch.randn(n, c).double(), dim=1) for _ in range(2))
    columns = 3 * torch.randn(c, k).double()
    for temperature, limit in TEMPERATURES.items():
        wanted = plain_results(queries, keys, columns, temperature)
        got = fast_results(
            *(x.float().to(check.device) for x in (queries, keys, columns)),
            temperature)
        for name, value in got.items():
            check.close(f'{name}, temperature {temperature}', value,
                        wanted[name], limit)
    features = queries.float().to(check.device)
    for function in (feature_std, effective_rank):
        check.close(function.__name__, function(features), function(queries),
                    1e-5)


def stepped_bank(check: Check, method: str,
                 dtype: Optional[torch.dtype]) -> Tensor:
    """Columns of a bank after two steps; of another type on the CPU."""
    torch.manual_seed(1)
    n, c, k = (8, 16, 256) if check.tiny else (64, 128, 16384)
    bench = Bench(
        Namespace(
            method=method,
            batch=n,
            dim=c,
            columns=k,
            shard=False,
            device='cpu' if dtype else str(check.device)))
    if dtype:
        bench.memory.to(dtype)
        bench.keys = [key.to(dtype) for key in bench.keys]
        bench.queries = [
            query.detach().to(dtype).requires_grad_()
            for query in bench.queries
        ]
    for _ in range(2):
        bench.step()
    return bench.memory.columns


def check_memories(check: Check) -> None:
    """Two steps of bank and head, and a queue that wraps inside a batch."""
    for name, method in (('AdCo', 'adco_sym'), ('CaCo', 'caco')):
        check.close(f'bank of {name}, two steps',
                    stepped_bank(check, method, None),
                    stepped_bank(check, method, torch.float64), 2e-4)
    columns = []
    for device in (check.device, torch.device('cpu')):
        torch.manual_seed(1)
        queue = MODELS.build(dict(type='FeatureQueue', num_columns=10, dim=4))
        queue.to(device)
        for i in range(4):
            queue.enqueue(torch.full((3, 4), float(i), device=device))
            queue.step()
        columns.append(queue.columns)
    check.close('queue after four batches', *columns, 0)


def check_optimizers(check: Check) -> None:
    """Three steps on weights in channels_last, against the CPU."""
    for name in ('CaCoLARS', 'LARC'):
        weights = []
        for device in (check.device, torch.device('cpu')):
            torch.manual_seed(2)
            net = torch.nn.Sequential(
                torch.nn.Conv2d(8, 16, 3), torch.nn.Conv2d(16, 8, 1))
            net.to(device, memory_format=torch.channels_last)
            optimizer = OPTIMIZERS.get(name)(net.parameters(), lr=1.)
            for _ in range(3):
                for i, p in enumerate(net.parameters()):
                    p.grad = torch.full_like(p, i + 1.)
                optimizer.step()
            weights.append(torch.cat([p.flatten() for p in net.parameters()]))
        check.close(f'{name}, three steps', *weights, 1e-5)


def check_knn(check: Check) -> None:
    """Correct answers of the kNN classifier, against the CPU."""
    torch.manual_seed(3)
    bank = F.normalize(torch.randn(500, 16), dim=1)
    labels = torch.randint(0, 7, (500, ))
    query = F.normalize(bank[:64] + 0.5 * torch.randn(64, 16), dim=1)
    counts = [
        knn_correct(bank, labels, query.to(device), labels[:64], 5).cpu()
        for device in (check.device, torch.device('cpu'))
    ]
    off = int((counts[0] - counts[1]).abs().max())
    # Rounding may turn one tie.
    check.say('kNN', 'ok' if off <= 1 else 'WRONG',
              f'correct {counts[0].tolist()}, on a CPU {counts[1].tolist()}')


def parity(check: Check) -> None:
    """Everything that the package computes itself."""
    for part in (check_ops, check_memories, check_optimizers, check_knn):
        with check.guard(part.__name__):
            part(check)


def faults_of(training: Training, before: Dict[str, Tensor],
              losses: Dict[str, Tensor]) -> List[str]:
    """What is wrong after some steps; empty if nothing is."""
    after = training.state()
    faults = [f'{k} is not finite' for k, v in after.items()
              if not v.isfinite().all()]  # yapf: disable
    faults += [f'{k} did not move' for k, v in after.items()
               if torch.equal(v, before[k])]  # yapf: disable
    faults += [f'{k} is {float(v)}' for k, v in losses.items()
               if not math.isfinite(float(v))]  # yapf: disable
    kernels = [p for p in training.model.backbone.parameters() if p.ndim == 4]
    if not all(
            p.is_contiguous(memory_format=torch.channels_last)
            for p in kernels):
        faults.append('weights have left the layout channels_last')
    # torch's optimizers then take one parameter at a time.
    if any(p.grad is not None and p.grad.stride() != p.stride()
           for p in kernels):
        faults.append('gradients have another layout than their weights')
    return faults


def check_steps(check: Check, method: str, precision: str) -> None:
    """Some steps: all is finite, and all has moved."""
    training = Training(method, check.device, precision,
                        4 if check.tiny else 16, check.tiny)
    before = training.state()
    # The loss scaler skips the first steps of fp16.
    for _ in range(6 if precision == 'fp16' else 3):
        losses = training.step()
    faults = faults_of(training, before, losses)
    text = ', '.join(f'{k} {float(v):.3f}' for k, v in losses.items())
    check.say(f'{method} {precision}', 'WRONG' if faults else 'ok',
              '; '.join(faults) or text)


def steps(check: Check) -> None:
    """Steps of each method in each precision, and their first loss."""
    for method in PRESETS:
        wanted = Training(method, torch.device('cpu'), 'fp32', 16,
                          True).step()['loss']
        for precision in precisions(check):
            with check.guard(f'{method} {precision}'):
                check_steps(check, method, precision)
                losses = Training(method, check.device, precision, 16,
                                  True).step()
                check.close(f'{method} {precision}, loss of a narrow model',
                            losses['loss'], wanted, LOSS_LIMITS[precision])
