"""Train several methods under the same conditions and compare them.

Every method and seed trains in its own process and folder,
OUT/METHOD/seed_SEED. Then its frozen backbone is evaluated by kNN and a
linear probe. After every run, table.md, plot.png and results.json in OUT are
renewed. A finished run is kept and an interrupted one continued.
With --jobs several trainings run at a time, each on a GPU or on an equal part
of the CPU cores. Seconds per epoch are then those of such a part.

A track is a set of configs with one backbone and batch: 'photopatches' for the
bundled pictures, 'cifar-cpu' for 10,000 pictures of CIFAR-10 on a CPU.
"""
import argparse
import fcntl
import hashlib
import json
import os
import os.path as osp
import signal
import sys
from concurrent.futures import Executor
from typing import Dict, List, NamedTuple, Optional, Tuple

import torch
from comparison_measures import measure_run, measure_untrained
from comparison_report import read_json, write_json, write_report
from comparison_runs import (CORES, Trainings, begin, resolve,
                             schedule_options, start_measuring)
from mmengine.registry import DATASETS, init_default_scope

import caco_ext  # noqa: F401  registers the classes that configs name
from caco_ext.utils import UsageError, make_parser, run_tool
from caco_ext.utils.presets import data_options

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
# Config, options and digest of a method.
Plan = Tuple[str, List[str], str]
BASELINES = ('mocov2', 'simclr', 'byol', 'simsiam')


class Track(NamedTuple):
    """What one comparison trains."""
    # Values of --methods and their configs, relative to configs/selfsup.
    # Several names may belong to one method.
    methods: Dict[str, str]
    # How many pictures are used unless --pictures says; None: all.
    pictures: Optional[int]
    # Epochs between two evaluations by kNN.
    knn_interval: int


TRACKS = {
    'photopatches':
    Track(
        {
            'adco-asym':
            'adco/adco_resnet18_1xb64-asym-coslr-15e_photopatches.py',
            'adco-sym':
            'adco/adco_resnet18_1xb64-sym-coslr-15e_photopatches.py',
            'adco-sym-lars':
            'adco/adco_resnet18_1xb64-sym-lars-coslr-15e_photopatches.py',
            'caco':
            'caco/caco_resnet18_1xb64-sym-48px-coslr-15e_photopatches.py',
            'clsa':
            'clsa/clsa_resnet18_1xb64-single-coslr-15e_photopatches.py',
            'clsa-lars':
            'clsa/clsa_resnet18_1xb64-single-lars-coslr-15e_photopatches.py',
            'care-32px':
            'care/care_resnet18_1xb64-2view-coslr-15e_photopatches.py',
            **{
                name:
                f'baselines/{name}_resnet18_1xb64-2view-coslr-15e_'
                'photopatches.py'
                for name in BASELINES
            }
        },
        None,
        knn_interval=5),
    'cifar-cpu':
    Track(
        {
            'adco': 'adco/adco_resnet18w025_1xb128-sym-coslr-10e_cifar10.py',
            'caco': 'caco/caco_resnet18w025_1xb128-sym-coslr-10e_cifar10.py',
            'clsa':
            'clsa/clsa_resnet18w025_1xb128-single-coslr-10e_cifar10.py',
            'care': 'care/care_resnet18w025_1xb128-2view-coslr-10e_cifar10.py',
            **{
                name:
                f'baselines/{name}_resnet18w025_1xb128-2view-coslr-10e_'
                'cifar10.py'
                for name in BASELINES
            }
        },
        10000,
        knn_interval=2),
}
# What is measured without a training, see `measure_untrained`, and the method
# whose network and pictures it takes.
UNTRAINED = ('pixels', 'random')
RANDOM = 'mocov2'
# Checkpoints to lose little when interrupted; more would fill a disk. The
# random network is measured once for all.
COMMON_OPTIONS = ('default_hooks.knn.before_train=False',
                  'default_hooks.knn.save_features=True',
                  'default_hooks.checkpoint.interval=1',
                  'default_hooks.checkpoint.max_keep_ckpts=1',
                  'default_hooks.checkpoint.save_best=None')


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        '--track',
        default='photopatches',
        choices=TRACKS,
        help='which configs (default: %(default)s)')
    parser.add_argument(
        '--data',
        help='data_root of the pictures, with labels: a folder, list, shards '
        'or whatever a config takes (default: that of the configs)')
    parser.add_argument(
        '--pictures',
        type=int,
        help='train on so many of them, the same share of each class '
        '(default: 10000 in cifar-cpu, else all)')
    parser.add_argument(
        '--methods',
        help='names with commas between them (default: all of the track)')
    parser.add_argument(
        '--seeds',
        default='0,1,2',
        help='whole numbers with commas between them (default: %(default)s)')
    parser.add_argument(
        '--epochs', type=int, help='(default: those of the configs)')
    parser.add_argument('--out', default='work_dirs/compare')
    parser.add_argument(
        '--amp', action='store_true', help='automatic mixed precision')
    parser.add_argument(
        '--jobs',
        type=int,
        default=1,
        help='trainings at a time (default: %(default)s)')
    parser.add_argument(
        '--table-only',
        action='store_true',
        help='train nothing; draw table and plot of what there is')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='settings that replace those of every config')
    return parser


def check_arguments(args: argparse.Namespace) -> None:
    """Refuse impossible arguments before any training.

    ``methods`` and ``seeds`` become lists.
    """
    methods = TRACKS[args.track].methods
    args.methods = args.methods.split(',') if args.methods else list(methods)
    for name in args.methods:
        if name not in methods:
            raise UsageError(
                f'--methods: there is no {name!r} in the track {args.track}; '
                'choose among ' + ', '.join(methods))
    seeds = args.seeds.split(',')
    if not all(seed.isdigit() for seed in seeds):
        raise UsageError(f'--seeds {args.seeds} must be whole numbers with '
                         'commas between them, as 0,1,2')
    args.seeds = [int(seed) for seed in seeds]
    for option in ('methods', 'seeds'):
        values = getattr(args, option)
        if len(set(values)) < len(values):
            raise UsageError(f'--{option} names one twice')
    for option in ('epochs', 'pictures'):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise UsageError(f'--{option} {value} must be at least 1')
    most = torch.cuda.device_count() or CORES
    if not 1 <= args.jobs <= most:
        raise UsageError(f'--jobs {args.jobs} must be from 1 to {most}, the '
                         'number of GPUs, or of CPU cores where there is none')


def picture_options(args: argparse.Namespace) -> List[str]:
    """Options that give every config of the track the same pictures."""
    track = TRACKS[args.track]
    config = osp.join(ROOT, 'configs', 'selfsup', track.methods[RANDOM])
    options = []
    if args.data:
        there = data_options(resolve(config, ()), args.data)
        options += [f'{name}={value}' for name, value in there.items()]
    wanted = args.pictures or track.pictures
    if wanted:
        every = 'train_dataloader.dataset.fraction=1.0'
        cfg = resolve(config, [*options, *args.cfg_options, every])
        init_default_scope(cfg.default_scope)
        there = len(DATASETS.build(cfg.train_dataloader.dataset))
        if wanted > there:
            raise UsageError(f'--pictures {wanted}: there are {there} for '
                             'training')
        options += [
            f'{one}.fraction={wanted / there!r}'
            for one in ('train_dataloader.dataset',
                        'default_hooks.knn.train_dataset')
        ]
    return options


def plan(args: argparse.Namespace) -> Tuple[Dict[str, Plan], str]:
    """Determine config, options and digest of every method.

    Also returns a line with their common settings. A UsageError says that
    they differ in backbone or batch.
    """
    runs, common = {}, {}
    track = TRACKS[args.track]
    shared = [
        *COMMON_OPTIONS, f'default_hooks.knn.interval={track.knn_interval}',
        *picture_options(args), *args.cfg_options
    ]
    for name in dict.fromkeys([*args.methods, RANDOM]):
        config = osp.join(ROOT, 'configs', 'selfsup', track.methods[name])
        options = list(shared)
        if args.epochs:
            options += schedule_options(
                resolve(config, options), args.epochs, name)
        cfg = resolve(config, options)
        # An edited config must get another digest.
        text = json.dumps([cfg.to_dict(), args.amp], default=str)
        runs[name] = (config, options,
                      hashlib.sha256(text.encode()).hexdigest())
        backbone = cfg.model.backbone
        width = backbone.get('base_channels', 64)
        common[name] = (f'{backbone.type.split(".")[-1]}-{backbone.depth}'
                        f'{"" if width == 64 else f" of {width} channels"}, '
                        f'batches of {cfg.train_dataloader.batch_size}, '
                        f'{cfg.train_cfg.max_epochs} epoch(s)')
    first, *others = common
    for name in others:
        if common[name] != common[first]:
            raise UsageError(f'--methods: {first} has {common[first]}, and '
                             f'{name} has {common[name]}; compare them apart')
    return runs, common[first] + (', mixed precision' if args.amp else '')


def run_once(pool: Executor, trainings: Trainings, name: str, seed: int,
             plan_of_run: Plan, args: argparse.Namespace) -> bool:
    """Train and measure one method with one seed, unless this is done.

    The methods in ``UNTRAINED`` are only measured. Returns whether all
    succeeded.
    """
    config, options, digest = plan_of_run
    title = f'[compare] {name}, seed {seed}:'
    folder = osp.join(args.out, name, f'seed_{seed}')
    state = begin(folder, digest)
    path = osp.join(folder, 'result.json')
    if osp.isfile(path):
        print(title, 'kept', flush=True)
        return True
    if name in UNTRAINED:
        result = pool.submit(measure_untrained, config, options, seed,
                             name).result()
    else:
        log = osp.join(folder, 'train.log')
        if not state['trained']:
            print(title, f'training, see {log}', flush=True)
            if trainings.run(config, options, seed, args.amp, folder, state):
                with open(log, encoding='utf-8') as file:
                    tail = ''.join(file.readlines()[-5:])
                print(title, f'failed\n{tail}', flush=True)
                return False
        result = pool.submit(measure_run, folder).result()
        result['peak_memory_mb'] = state['peak_memory_mb']
    with trainings.lock:
        write_json(path, dict(method=name, seed=seed, **result))
        write_report(args.out)
    probe = result.get('probe')
    print(
        title,
        f'kNN {result["knn"]:.2f} %' +
        ('' if probe is None else f', linear probe {probe:.2f} %'),
        flush=True)
    return True


def compare(args: argparse.Namespace, runs: Dict[str, Plan],
            common: str) -> List[str]:
    """Train and measure whatever is missing; return the runs that failed."""
    path = osp.join(args.out, 'settings.json')
    settings = dict(
        common=common,
        track=args.track,
        data=args.data,
        pictures=args.pictures,
        options=args.cfg_options)
    if args.jobs > 1:  # seconds per epoch depend on it
        settings['jobs'] = args.jobs
    there = read_json(path)
    if there not in (None, settings):
        raise UsageError(f'--out {args.out} holds another comparison ({there})'
                         '; name another folder')
    write_json(path, settings)
    # Seed by seed, so that there is soon a table of all methods. Pixels have
    # no seed.
    jobs = [(name, seed) for seed in args.seeds
            for name in [*UNTRAINED, *args.methods]
            if name != 'pixels' or seed == args.seeds[0]]
    with start_measuring() as pool, Trainings(args.jobs) as trainings:

        def run(job):
            name, seed = job
            plan_of_run = runs[RANDOM if name in UNTRAINED else name]
            return run_once(pool, trainings, name, seed, plan_of_run, args)

        done = trainings.map(run, jobs)
    return [
        f'{name}, seed {seed}' for (name, seed), ok in zip(jobs, done)
        if not ok
    ]


def main(args: argparse.Namespace) -> None:
    """Compare."""
    if args.table_only:
        if not osp.isfile(osp.join(args.out, 'settings.json')):
            raise UsageError(f'--out {args.out} holds no comparison')
    else:
        check_arguments(args)
        runs, common = plan(args)
        os.makedirs(args.out, exist_ok=True)
        with open(osp.join(args.out, 'lock'), 'w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f'--out {args.out}: another comparison is '
                                 'writing there') from None
            failed = compare(args, runs, common)
    for path in write_report(args.out):
        print(path)
    with open(osp.join(args.out, 'table.md'), encoding='utf-8') as file:
        print(file.read())
    if not args.table_only and failed:
        raise UsageError('these failed: ' + '; '.join(failed))


if __name__ == '__main__':
    # Running trainings must stop with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run_tool(get_parser(), main)
