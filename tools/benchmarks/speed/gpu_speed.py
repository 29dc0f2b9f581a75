"""Sections 'bank', 'speed' and 'compile' of gpu_check.py: how fast is it?"""
import math
import time
from argparse import Namespace
from typing import Any, Dict, Iterator, List, Tuple

import torch
from bench_bank import Bench, Peak
from bench_train import PARTS, Clock, find
from gpu_rows import Check
from gpu_training import PRESETS, Training, precisions
from torch.utils._python_dispatch import TorchDispatchMode

from caco_ext.ops import tf32_products

# Pictures and width of the features of the presets' banks, and more pictures.
BANKS = dict(
    adco_sym=((32, 128), (128, 128), (512, 128)),
    caco=((128, 256), (512, 256)))


class Calls(TorchDispatchMode):
    """A context that counts calls of torch's operations, but for views."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self,
                           func: Any,
                           types: Any,
                           args: tuple = (),
                           kwargs: Any = None) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def bank_sizes(check: Check) -> Iterator[Tuple[str, int, int, int]]:
    """Method, pictures, width and columns of the banks to time."""
    for method, sizes in BANKS.items():
        for batch, dim in sizes[:1] if check.tiny else sizes:
            yield method, batch, dim, 640 if check.tiny else 65536


def bank(check: Check) -> None:
    """A step of a bank beside the bare products, with and without TF32."""
    for method, batch, dim, columns in bank_sizes(check):
        what = f'{method}, {batch} pictures, {dim} x {columns}'
        with check.guard(what):
            time_bank(
                check, what,
                Namespace(
                    method=method,
                    batch=batch,
                    dim=dim,
                    columns=columns,
                    shard=False,
                    device=str(check.device)))


def time_bank(check: Check, what: str, args: Namespace) -> None:
    """Add the row of one bank."""
    bench = Bench(args)
    peak = Peak(check.device)
    bench.step()
    growth = peak.growth() / 2**20
    with Calls() as calls:
        bench.step()
    floor = bench.make_floor()
    times = {}
    for name, tf32 in (('', False), ('_tf32', True)):
        bench.memory.tf32 = tf32
        times[f'step{name}'] = check.milliseconds(bench.step)
        with tf32_products(tf32):
            times[f'products{name}'] = check.milliseconds(floor)
    check.say(
        what,
        'measured',
        '{step:.2f} ms, products {products:.2f}; in TF32 {step_tf32:.2f}, '
        'products {products_tf32:.2f}; '.format(**times) +
        f'{calls.count} calls, {growth:.0f} MiB beyond the bank',
        calls=calls.count,
        growth_mib=growth,
        **times)


def parts_of_a_step(check: Check, training: Training,
                    count: int) -> Dict[str, float]:
    """Milliseconds of each part, with a wait before and after it."""
    clock = Clock(check.device)
    for name, (path, method) in PARTS.items():
        owner = find(
            dict(model=training.model, wrapper=training.wrapper), path)
        if owner is not None:
            setattr(owner, method, clock.part(name, getattr(owner, method)))
    step = clock.part('rest', training.step)
    for _ in range(count):
        step()
    return {
        name: round(1e3 * value / count, 2)
        for name, value in clock.seconds.items()
    }


def measure(check: Check,
            method: str,
            precision: str,
            batch: int,
            label: str = '',
            **options: Any) -> None:
    """Add a row: pictures a second, memory and parts of a method's step."""
    training = Training(method, check.device, precision, batch, check.tiny,
                        **options)
    warm_up, count = (1, 2) if check.tiny else (4, 8)
    for _ in range(warm_up):
        losses = training.step()
    peak = Peak(check.device)
    check.wait()
    start = time.perf_counter()
    for _ in range(count):
        losses = training.step()
    queued = 1e3 * (time.perf_counter() - start) / count
    check.wait()
    whole = 1e3 * (time.perf_counter() - start) / count
    memory = (peak.growth() + peak.start) / 2**30
    loss = float(losses['loss'])
    parts = parts_of_a_step(check, training, count)
    rate = 1e3 * batch / whole
    check.say(
        f'{method} {precision}, {batch} pictures{label}',
        'measured' if math.isfinite(loss) else 'WRONG',
        f'{rate:.0f} pictures/s, {whole:.1f} ms (queued in {queued:.1f}), '
        f'{memory:.1f} GiB, loss {loss:.3f}; ' +
        ', '.join(f'{k} {v}' for k, v in parts.items()),
        pictures_per_second=rate,
        milliseconds=whole,
        queued=queued,
        memory_gib=memory,
        **parts)


def batch_size(check: Check) -> int:
    """Pictures that fit beside each other: 128 where there are 64 GiB."""
    if check.tiny or not check.on_gpu:
        return 4
    gib = torch.cuda.get_device_properties(0).total_memory / 2**30
    return min(128, 2**int(math.log2(2 * gib)))


def speed(check: Check) -> None:
    """All methods; then what single switches change for CaCo."""
    batch = batch_size(check)
    full, mixed = precisions(check)[:2]
    kinds = [mixed] if check.tiny else [mixed, full]
    runs: List[Tuple[str, str, str, dict]] = [(method, kind, '', {})
                                              for kind in kinds
                                              for method in PRESETS]
    if not check.tiny:
        runs += [('CaCo', mixed, ', contiguous', dict(channels_last=False)),
                 ('CaCo', mixed, ', fused views', dict(fuse_views=True))]
    for method, kind, label, options in runs:
        with check.guard(f'{method} {kind}{label}'):
            measure(check, method, kind, batch, label, **options)


def compiled(check: Check) -> None:
    """CaCo with compiled backbones; a trial needs no generated code."""
    start = time.perf_counter()
    options = dict(backend='eager') if check.tiny else {}
    measure(
        check,
        'CaCo',
        precisions(check)[1],
        batch_size(check),
        ', compiled',
        compile_backbones=options)
    check.say('the compiler and these steps', 'measured',
              f'{time.perf_counter() - start:.0f} s')
