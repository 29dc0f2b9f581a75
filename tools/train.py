"""Train with a config."""
import argparse
import logging
import os
import os.path as osp
from contextlib import nullcontext

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner

# Fixes the hosts and registers the package, before any config is read.
import caco_ext  # noqa: F401
from caco_ext.engine.resume_changes import MODES
from caco_ext.utils import (UsageError, add_common_arguments, load_config,
                            run_tool)
from caco_ext.utils.environment import amp_dtype
from caco_ext.utils.launchers import is_first_process
from caco_ext.utils.presets import METHODS, SIZES, preset_config
from caco_ext.utils.run_lock import hold


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', nargs='?', help='config file')
    parser.add_argument(
        '--preset',
        choices=SIZES,
        help='in place of a config, that of --method for about 1,000 (small), '
        '10,000 (medium) or 100,000 (large) pictures')
    parser.add_argument('--method', choices=METHODS, help='for --preset')
    parser.add_argument(
        '--data',
        metavar='ROOT',
        help='pictures for training, and for kNN where the config has it: a '
        'folder, list, LMDB, tar or Parquet files, torchvision:NAME')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='continue a run: from this checkpoint, or from the latest one '
        'in the work folder when none is named')
    parser.add_argument(
        '--resume-changes',
        choices=MODES,
        help='where the settings are no longer those of the resumed '
        'checkpoint: apply the present ones, or keep those of the checkpoint; '
        'without it the run is refused, with a list of what changed')
    parser.add_argument(
        '--amp',
        action='store_true',
        help='automatic mixed precision: bfloat16 where the hardware has it, '
        'else float16 with a loss scaler; optim_wrapper.dtype of the config '
        'goes first')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the global batch size over '
        'auto_scale_lr.base_batch_size of the config')
    parser.add_argument(
        '--linear',
        action='store_true',
        help="at the end train a linear classifier on the frozen backbone, on "
        "the pictures of the config's KNNHook (see LinearProbeHook)")
    parser.add_argument(
        '--report',
        action='store_true',
        help='at the end draw curves, neighbours and a report, and write the '
        'backbone alone (see RunReportHook)')
    add_common_arguments(parser)
    return parser


def check_config(cfg: Config, path: str) -> None:
    """Refuse what would make mmengine fail before it has a log."""
    missing = [
        name
        for name in ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')
        if cfg.get(name) is None
    ]
    if missing:
        raise UsageError(f'{path} is no config of a training: it has no '
                         f'{", ".join(missing)}')
    level = cfg.get('log_level', 'INFO')
    if not isinstance(logging.getLevelName(level), int):
        raise UsageError(f'log_level={level!r} is unknown; use DEBUG, INFO, '
                         'WARNING or ERROR')
    seed = (cfg.get('randomness') or {}).get('seed')
    if seed is not None and (not isinstance(seed, int)
                             or not 0 <= seed < 2**32):
        raise UsageError(f'randomness.seed={seed!r} must be an integer from 0 '
                         'to 4294967295, or None')


def apply_switches(cfg: Config, args: argparse.Namespace) -> None:
    """Apply the options of the command line to a config, in place."""
    if args.amp:
        wrapper = cfg.optim_wrapper.get('type', 'OptimWrapper')
        if wrapper not in ('OptimWrapper', 'AmpOptimWrapper'):
            raise UsageError(f"--amp: optim_wrapper.type is '{wrapper}'; only "
                             "'OptimWrapper' has a mixed precision version")
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('dtype', amp_dtype(get_device()))
    if args.auto_scale_lr:
        scale = cfg.get('auto_scale_lr')
        if not scale or 'base_batch_size' not in scale:
            raise UsageError(
                '--auto-scale-lr: the config does not say for which global '
                'batch its learning rate is meant; add --cfg-options '
                'auto_scale_lr.base_batch_size=N')
        cfg.auto_scale_lr.enable = True
    if args.linear:
        cfg.merge_from_dict(
            {'default_hooks.linear_probe': dict(type='LinearProbeHook')})
    if args.report:
        cfg.merge_from_dict(
            {'default_hooks.run_report': dict(type='RunReportHook')})
    if args.resume_changes is not None:
        cfg.merge_from_dict({
            'default_hooks.setup_check':
            dict(type='SetupCheckHook', resume_changes=args.resume_changes)
        })
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
        if cfg.load_from and '://' not in cfg.load_from \
                and not osp.isfile(cfg.load_from):
            raise UsageError(f'--resume: no such checkpoint: {args.resume}')


def choose_preset(args: argparse.Namespace) -> None:
    """Set ``config`` from ``--preset`` and ``--method``."""
    if (args.config is None) != (args.preset is not None):
        raise UsageError('name either a config, or --preset, --method and '
                         '--data')
    if (args.preset is None) != (args.method is None):
        raise UsageError('--preset and --method need each other')
    if args.preset and not args.data:
        raise UsageError(f'--preset {args.preset} needs --data ROOT, the '
                         'pictures')
    if args.preset:
        args.config = preset_config(args.method, args.preset)
        print(f'config: {args.config}')


def main(args: argparse.Namespace) -> None:
    """Train."""
    choose_preset(args)
    cfg = load_config(args)
    check_config(cfg, args.config)
    apply_switches(cfg, args)
    # Lock before the runner writes config and log. If the first process is
    # refused, the launcher ends the others.
    is_first = is_first_process(os.environ)
    with hold(cfg.work_dir) if is_first else nullcontext():
        Runner.from_cfg(cfg).train()


if __name__ == '__main__':
    run_tool(get_parser(), main)
