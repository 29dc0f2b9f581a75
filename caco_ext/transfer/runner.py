"""Entry point of the benchmarks that do not use a host's trainer."""
import argparse
import os
from typing import Any, Callable, Mapping, Sequence, Tuple

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import (broadcast_object_list, get_world_size, init_dist,
                           is_main_process)
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from caco_ext.converters import CheckpointError, add_source_arguments
from caco_ext.utils import (UsageError, add_common_arguments, load_config,
                            run_tool)
from .frozen import FrozenBackbone
from .results import write_results


def run_benchmark(description: str, measure: Callable[[Config, FrozenBackbone],
                                                      Tuple[Mapping, Mapping]],
                  needs: Sequence[str]) -> None:
    """Parse the command line, measure, write ``results.json``.

    Args:
        description (str): What ``--help`` says.
        measure (Callable): Takes config and backbone. Returns the metrics and
            further entries of ``results.json``. Every process calls it.
        needs (Sequence[str]): Names that a config of this benchmark must
            have.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='config file')
    add_backbone_arguments(parser)
    add_common_arguments(parser)
    run_tool(parser, lambda args: _run(args, measure, needs))


def add_backbone_arguments(parser: argparse.ArgumentParser,
                           more: str = '') -> None:
    """Add the arguments that say which backbone to measure.

    Args:
        parser (ArgumentParser): The parser of a benchmark.
        more (str): What else the checkpoint may be. Defaults to ''.
    """
    parser.add_argument(
        'checkpoint',
        help='of a pre-training run, its backbone alone, or an '
        f"author's file{more}")
    parser.add_argument(
        '--part',
        choices=['backbone', 'backbone_k'],
        default='backbone',
        help="whose backbone: the query encoder's (default) or the key's")
    parser.add_argument(
        '--supervised',
        action='store_true',
        help='a network trained with labels is meant')
    add_source_arguments(parser)


def _run(args: argparse.Namespace, measure: Callable,
         needs: Sequence[str]) -> None:
    """Measure and write."""
    cfg = load_config(args)
    missing = [name for name in ('results', *needs) if name not in cfg]
    if missing:
        raise UsageError(
            f'{args.config} is a config of another benchmark: it has no '
            f'{", ".join(missing)}')
    if cfg.launcher != 'none':
        init_dist(cfg.launcher, **cfg.get('dist_cfg', dict(backend='nccl')))
    os.makedirs(cfg.work_dir, exist_ok=True)
    name = broadcast(f'{cfg.results.task}_{os.getpid()}')
    logger = MMLogger.get_instance(
        name, log_file=os.path.join(cfg.work_dir, 'log.txt'))
    init_default_scope(cfg.get('default_scope', 'mmcls'))
    torch.manual_seed(cfg.seed)
    try:
        model = FrozenBackbone(args.checkpoint, cfg.data_preprocessor,
                               args.part, args.supervised, args.trust,
                               args.src_prefix)
        logger.info(f'{model.proof}')
        model = model.to(get_device()).eval()
        metrics, more = measure(cfg, model)
    except (CheckpointError, FileNotFoundError, ValueError) as error:
        raise UsageError(error) from error
    if is_main_process():
        path = write_results(
            cfg.work_dir,
            cfg.results.task,
            cfg.results.protocol,
            metrics,
            model.proof,
            **more,
            config=args.config,
            seed=cfg.seed,
            processes=get_world_size())
        for key, value in metrics.items():
            logger.info(f'{key}: {value:.4f}')
        logger.info(f'written to {path}')


def broadcast(value: Any) -> Any:
    """Rank 0's value, on every rank."""
    values = [value]
    broadcast_object_list(values)
    return values[0]
