"""Evaluate a checkpoint: the config's test loop, or else its KNNHook.

    python tools/test.py CHECKPOINT

measures it on the pictures that its run was evaluated on.
"""
import argparse
import json
import os.path as osp
import tempfile
from typing import Dict, Optional, Tuple

import torch
from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.runner import Runner

# Fixes the hosts and registers the package, before any config is read.
import caco_ext  # noqa: F401
from caco_ext.converters import CheckpointError, read_checkpoint
from caco_ext.converters.files import weights_of
from caco_ext.engine.hooks import KNNHook
from caco_ext.evaluation import compare_pictures, find_knn_options
from caco_ext.utils import (UsageError, add_common_arguments,
                            describe_differences, load_config, make_parser,
                            run_tool)
from caco_ext.utils.config_text import check_config_text
from caco_ext.utils.files import write_whole
from caco_ext.utils.models import unwrap_model
from caco_ext.utils.old_names import with_present_names


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        'config',
        nargs='?',
        help='config file (default: that of the run, which the checkpoint '
        'holds; results then go beside the checkpoint)')
    parser.add_argument(
        'checkpoint', help='checkpoint of a run, or its backbone alone')
    add_common_arguments(parser)
    return parser


def read_weights(path: str) -> Tuple[Dict[str, torch.Tensor], dict]:
    """Read the weights in a checkpoint, by name, and its meta data."""
    try:
        weights, meta = weights_of(read_checkpoint(path), path)
    except (FileNotFoundError, CheckpointError) as error:
        raise UsageError(error) from error
    return {
        name[len('module.'):] if name.startswith('module.') else name: value
        for name, value in weights.items()
    }, meta


def write_own_config(path: str, meta: dict, folder: str) -> Optional[str]:
    """Write the config of the run that a checkpoint is from.

    Returns the file, named after the checkpoint. None if neither the
    checkpoint nor the file that it was extracted from holds a config.
    """
    text = meta.get('cfg')
    if not text and isinstance(meta.get('source'), str):
        source = osp.join(osp.dirname(path), osp.basename(meta['source']))
        text = osp.isfile(source) and read_weights(source)[1].get('cfg')
    if not text:
        return None
    try:
        check_config_text(text)
    except ValueError as error:
        raise UsageError(f'{path}: {error}') from error
    name = osp.splitext(osp.basename(path))[0]
    own = osp.join(folder, f'test_{name}.py')
    with open(own, 'w', encoding='utf-8') as file:
        file.write(with_present_names(text))
    return own


def choose_config(args: argparse.Namespace, meta: dict, folder: str) -> Config:
    """Load the config that the user names, else the run's own.

    A UsageError says that there is none. It also refuses a config with other
    kNN pictures than the run's, unless the user asks for them.
    """
    own = write_own_config(args.checkpoint, meta, folder)
    if args.config is None:
        if own is None:
            raise UsageError(f'{args.checkpoint} holds no config, as a '
                             'checkpoint of a run does; give one: test.py '
                             'CONFIG CHECKPOINT')
        args.config = own
        args.work_dir = args.work_dir or osp.dirname(
            osp.realpath(args.checkpoint))
        return load_config(args)
    cfg = load_config(args)
    named = any(f'{part}_dataset' in key for part in ('train', 'test')
                for key in args.cfg_options or ())
    if own is None or named or find_knn_options(cfg) is None or \
            cfg.get('test_dataloader') is not None:
        return cfg
    different = compare_pictures(Config.fromfile(own), cfg)
    if different:
        raise UsageError(
            f'{args.config} would measure other pictures than those of the '
            f'run of {args.checkpoint}: {different}. Leave the config out to '
            'measure those of the run, or name the pictures with '
            '--cfg-options default_hooks.knn.train_dataset.data_root=... '
            'default_hooks.knn.test_dataset.data_root=...')
    return cfg


def load_weights(model: torch.nn.Module, weights: Dict[str, torch.Tensor],
                 path: str, backbone_only: bool) -> None:
    """Load weights that fit exactly; sometimes the backbone is enough."""
    model = unwrap_model(model)
    own = model.state_dict()
    if backbone_only and all(n.startswith('backbone.') for n in weights):
        own = {n: v for n, v in own.items() if n.startswith('backbone.')}
    differences = describe_differences(own, weights)
    if differences:
        raise UsageError(f'{path} does not fit the config: {differences}. '
                         'Is it of another method or backbone?')
    model.load_state_dict(weights, strict=False)


def find_knn_hook(runner: Runner) -> KNNHook:
    """The hook that evaluates if there is no test loop."""
    for hook in runner.hooks:
        if isinstance(hook, KNNHook):
            runner.logger.info(hook.data.text)
            return hook
    raise UsageError('the config has neither test_dataloader nor a KNNHook in '
                     'default_hooks or custom_hooks to evaluate with')


@master_only
def report(metrics: Dict[str, float], cfg: Config, checkpoint: str,
           data: Optional[dict]) -> None:
    """Print the results and write them into the work folder."""
    name = osp.splitext(osp.basename(checkpoint))[0]
    path = osp.join(cfg.work_dir, f'test_{name}.json')
    content = dict(checkpoint=checkpoint, metrics=metrics)
    if data is not None:
        content['data'] = data
    write_whole(path, json.dumps(content, indent=2))
    print('  '.join(f'{k}: {v:.4g}' for k, v in metrics.items()))
    print(f'written to {path}')


def main(args: argparse.Namespace) -> None:
    """Evaluate."""
    weights, meta = read_weights(args.checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        cfg = choose_config(args, meta, folder)
    cfg.load_from, cfg.resume = None, False
    runner = Runner.from_cfg(cfg)
    has_test = cfg.get('test_dataloader') is not None
    hook = None if has_test else find_knn_hook(runner)
    load_weights(runner.model, weights, args.checkpoint, not has_test)
    metrics = runner.test() if has_test else hook.evaluate(runner)
    report({
        k: float(v)
        for k, v in metrics.items()
    }, cfg, args.checkpoint, None if has_test else hook.data.describe())


if __name__ == '__main__':
    run_tool(get_parser(), main)
