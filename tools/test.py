"""Evaluate a checkpoint: the config's test loop, or else its KNNHook."""
import argparse
import json
import os.path as osp
from typing import Dict

import torch
from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

# Mends the hosts and registers the package, before any config is read.
import caco_ext  # noqa: F401
from caco_ext.converters import CheckpointError, read_checkpoint
from caco_ext.converters.files import weights_of
from caco_ext.utils import (UsageError, add_common_arguments,
                            describe_differences, load_config, run_tool)


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line.

    Returns:
        ArgumentParser: The arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoint', help='checkpoint of a run, or its backbone alone')
    add_common_arguments(parser)
    return parser


def read_weights(path: str) -> Dict[str, torch.Tensor]:
    """Read the weights in a checkpoint.

    Args:
        path (str): The file.

    Returns:
        dict[str, Tensor]: The weights by name.

    Raises:
        UsageError: It is not there, or is no checkpoint.
    """
    try:
        weights, _ = weights_of(read_checkpoint(path), path)
    except (FileNotFoundError, CheckpointError) as error:
        raise UsageError(error) from error
    return {
        name[len('module.'):] if name.startswith('module.') else name: value
        for name, value in weights.items()
    }


def load_weights(model: torch.nn.Module, weights: Dict[str, torch.Tensor],
                 path: str, backbone_only: bool) -> None:
    """Load weights that fit exactly.

    Args:
        model (Module): The model, perhaps wrapped for several processes.
        weights (dict[str, Tensor]): The weights by name.
        path (str): Where they are from, for the message.
        backbone_only (bool): Whether the backbone alone will do.

    Raises:
        UsageError: They are those of another model.
    """
    if is_model_wrapper(model):
        model = model.module
    own = model.state_dict()
    if backbone_only and all(n.startswith('backbone.') for n in weights):
        own = {n: v for n, v in own.items() if n.startswith('backbone.')}
    differences = describe_differences(own, weights)
    if differences:
        raise UsageError(f'{path} does not fit the config: {differences}. '
                         'Is it of another method or backbone?')
    model.load_state_dict(weights, strict=False)


def find_knn_hook(runner: Runner, config: str):
    """Find what to evaluate with when there is no test loop.

    Args:
        runner (Runner): The runner.
        config (str): The config file, for the message.

    Returns:
        KNNHook: The first one of the runner.

    Raises:
        UsageError: It has none.
    """
    for hook in runner.hooks:
        if type(hook).__name__ == 'KNNHook':
            return hook
    raise UsageError(f'{config} has neither test_dataloader nor a KNNHook in '
                     'default_hooks or custom_hooks to evaluate with')


@master_only
def report(metrics: Dict[str, float], cfg: Config, checkpoint: str) -> None:
    """Print the results and write them into the work folder.

    Args:
        metrics (dict[str, float]): The results by name.
        cfg (Config): The config, for its ``work_dir``.
        checkpoint (str): The file that was evaluated.
    """
    name = osp.splitext(osp.basename(checkpoint))[0]
    path = osp.join(cfg.work_dir, f'test_{name}.json')
    with open(path, 'w', encoding='utf-8') as f:
        json.dump(dict(checkpoint=checkpoint, metrics=metrics), f, indent=2)
    print('  '.join(f'{k}: {v:.4g}' for k, v in metrics.items()))
    print(f'written to {path}')


def main(args: argparse.Namespace) -> None:
    """Evaluate.

    Args:
        args (Namespace): The arguments.
    """
    cfg = load_config(args)
    weights = read_weights(args.checkpoint)
    cfg.load_from, cfg.resume = None, False
    runner = Runner.from_cfg(cfg)
    has_test = cfg.get('test_dataloader') is not None
    hook = None if has_test else find_knn_hook(runner, args.config)
    load_weights(runner.model, weights, args.checkpoint, not has_test)
    metrics = runner.test() if has_test else hook.evaluate(runner)
    report({k: float(v) for k, v in metrics.items()}, cfg, args.checkpoint)


if __name__ == '__main__':
    run_tool(get_parser(), main)
