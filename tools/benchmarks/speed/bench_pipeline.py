"""Measure how many pictures a second a config's pipeline makes on one core.

Prints one JSON line a folder: sizes, medians and spread of the rate by wall
clock and by processor time (which other jobs disturb less), and the share of
each transform. Back ends, torchvision on PIL (--reference) and several
folders take turns within every round.
"""
import argparse
import inspect
import json
import os
import os.path as osp
import random
import statistics
import time
from typing import Callable, Dict, List, Optional, Tuple, Union

import cv2
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import TRANSFORMS
from PIL import Image
from reference_views import reference_pipeline

import caco_ext  # noqa: F401
from caco_ext.datasets import EpochSeededSampler, ImageFolder, MultiCrop
from caco_ext.datasets.photo_patches import photographs
from caco_ext.utils import UsageError, run_tool
from caco_ext.utils.environment import hardware, versions


def make_pictures(folder: str, count: int, size: Tuple[int, int], quality: int,
                  seed: int) -> None:
    """Write JPEGs: random parts of the photographs of PhotoPatches."""
    os.makedirs(folder, exist_ok=True)
    rng = random.Random(seed)
    photos = [picture for _, picture in photographs()]
    aspect = size[0] / size[1]
    for i in range(count):
        photo = photos[i % len(photos)]
        height = min(photo.height, photo.width / aspect) * rng.uniform(.7, 1)
        width = height * aspect
        left = rng.uniform(0, photo.width - width)
        top = rng.uniform(0, photo.height - height)
        photo.resize(
            size, Image.LANCZOS,
            box=(left, top, left + width, top + height)).save(
                osp.join(folder, f'{i:04d}.jpg'), quality=quality)


def with_backend(pipeline: Union[list, dict],
                 backend: str) -> Union[list, dict]:
    """A copy with the back end set in all transforms that have the option."""
    if isinstance(pipeline, (list, tuple)):
        return [with_backend(step, backend) for step in pipeline]
    if not isinstance(pipeline, dict):
        return pipeline
    step = {k: with_backend(v, backend) for k, v in pipeline.items()}
    kind = TRANSFORMS.get(step.get('type', ''))
    if kind and 'backend' in inspect.signature(kind).parameters:
        step['backend'] = backend
    return step


class Timed:
    """A transform that adds up the time it takes.

    Args:
        step (Callable): The transform.
        times (dict[str, float]): Seconds by name, to which it adds.
    """

    def __init__(self, step, times):
        self.step = step
        self.name = type(step).__name__
        self.times = times
        times.setdefault(self.name, 0.)

    def __call__(self, results):
        start = time.perf_counter()
        results = self.step(results)
        self.times[self.name] += time.perf_counter() - start
        return results


def time_steps(pipeline: Compose, times: Dict[str, float]) -> None:
    """Time every transform, also those of the views."""
    for step in pipeline.transforms:
        if isinstance(step, MultiCrop):
            for views in step.pipelines:
                time_steps(views, times)
    pipeline.transforms = [Timed(step, times) for step in pipeline.transforms]


def shares(pipeline: Compose, load: Callable) -> Dict[str, float]:
    """Share of each transform in the time of a picture.

    'MultiCrop' is its time outside the views' transforms, 'rest' that of the
    data set. The pipeline cannot be used afterwards.
    """
    times = {}
    time_steps(pipeline, times)
    start = time.perf_counter()
    load(pipeline)
    total = time.perf_counter() - start
    outer = sum(times[step.name] for step in pipeline.transforms)
    inner = sum(times.values()) - outer
    if 'MultiCrop' in times:
        times['MultiCrop'] -= inner
    times['rest'] = total - outer
    return {name: round(spent / total, 3) for name, spent in times.items()}


def summary(rates: List[float]) -> Dict[str, float]:
    """Median, lowest and highest rate of the rounds."""
    return {
        'median': round(statistics.median(rates), 1),
        'min': round(min(rates), 1),
        'max': round(max(rates), 1)
    }


class Bench:
    """Pictures of one folder, read in random order.

    Args:
        folder (str): The pictures.
        seed (int): Seed of order and draws.
        seconds (float): Duration of a round of one pipeline.
    """

    def __init__(self, folder, seed, seconds):
        self.data = ImageFolder(
            folder, with_labels=False, pipeline=[dict(type='LoadImage')])
        self.data.full_init()
        self.sampler = EpochSeededSampler(self.data, shuffle=True, seed=seed)
        self.seconds = seconds

    def load(self,
             pipeline: Callable,
             seconds: Optional[float] = None) -> Tuple[float, float, dict]:
        """Read pictures until the time (default: of a round) is over.

        Returns pictures per second of wall clock and of processor time, and
        the last result.
        """
        self.data.pipeline = pipeline
        count, epoch = 0, 0
        start, used = time.perf_counter(), time.process_time()
        end = start + (self.seconds if seconds is None else seconds)
        while True:
            self.sampler.set_epoch(epoch)
            for index in self.sampler:
                result = self.data[index]
                count += 1
                if time.perf_counter() >= end:
                    return (count / (time.perf_counter() - start),
                            count / (time.process_time() - used), result)
            epoch += 1

    def bytes_per_picture(self) -> int:
        """Mean size of the files."""
        paths = [
            self.data.get_data_info(i)['img_path']
            for i in range(len(self.data))
        ]
        return int(statistics.mean(map(osp.getsize, paths)))


def compare(benches: Dict[str, Bench], pipelines: Dict[str, Callable],
            rounds: int) -> Dict[str, Dict[str, dict]]:
    """Rates of all pipelines on all folders, all in turn in every round.

    Returns:
        dict: Folder -> pipeline -> rates by wall clock and processor time.
    """
    turns = [(folder, name) for folder in benches for name in pipelines]
    rates = {turn: ([], []) for turn in turns}
    for folder, name in turns:
        bench = benches[folder]
        bench.load(pipelines[name], bench.seconds / 5)
    for _ in range(rounds):
        for folder, name in turns:
            wall, processor, _ = benches[folder].load(pipelines[name])
            rates[folder, name][0].append(wall)
            rates[folder, name][1].append(processor)
    return {
        folder: {
            name:
            dict(
                images_per_second=summary(rates[folder, name][0]),
                images_per_cpu_second=summary(rates[folder, name][1]))
            for name in pipelines
        }
        for folder in benches
    }


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='its train_dataloader is measured')
    parser.add_argument(
        '--images',
        required=True,
        nargs='+',
        metavar='FOLDER',
        help='folder of pictures; of several, each has its own line')
    parser.add_argument(
        '--make',
        type=int,
        metavar='N',
        help=
        'first write N JPEGs to the (first) folder, parts of the photographs '
        'of PhotoPatches')
    parser.add_argument('--size', type=int, nargs=2, default=(500, 333))
    parser.add_argument('--quality', type=int, default=85)
    parser.add_argument(
        '--seconds', type=float, default=2., help='per round and pipeline')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--backends',
        nargs='+',
        metavar='NAME',
        help='measure the config once with each; default: as it is')
    parser.add_argument(
        '--reference',
        action='store_true',
        help='also measure the same recipe by torchvision on PIL pictures, '
        'normalised in the worker, as the originals do it')
    return parser


def main(args: argparse.Namespace) -> None:
    """Measure and print the line."""
    if not osp.isfile(args.config):
        raise UsageError(f'no such config: {args.config}')
    for folder in args.images[1:] if args.make else args.images:
        if not osp.isdir(folder):
            raise UsageError(f'--images {folder}: no such folder; --make N '
                             'makes the first one')
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    if args.make:
        make_pictures(args.images[0], args.make, args.size, args.quality,
                      args.seed)
    steps = Config.fromfile(args.config).train_dataloader.dataset.pipeline
    configs = {'config': steps}
    if args.backends:
        configs = {name: with_backend(steps, name) for name in args.backends}
    pipelines = {name: Compose(list(cfg)) for name, cfg in configs.items()}
    if args.reference:
        pipelines['reference'] = reference_pipeline(steps)
    pipelines['LoadImage alone'] = Compose([dict(type='LoadImage')])
    benches = {
        folder: Bench(folder, args.seed, args.seconds)
        for folder in args.images
    }
    for folder, results in compare(benches, pipelines, args.rounds).items():
        bench = benches[folder]
        for name, cfg in configs.items():
            results[name]['share'] = shares(Compose(list(cfg)), bench.load)
        *_, sample = bench.load(pipelines[next(iter(configs))], 0)
        print(
            json.dumps(
                dict(
                    config=osp.basename(args.config),
                    images=folder,
                    pictures=len(bench.data),
                    bytes_per_picture=bench.bytes_per_picture(),
                    views=[list(view.shape) for view in sample['inputs']],
                    seconds=args.seconds,
                    rounds=args.rounds,
                    seed=args.seed,
                    hardware=hardware(),
                    versions=versions(),
                    results=results)))


if __name__ == '__main__':
    run_tool(get_parser(), main)
