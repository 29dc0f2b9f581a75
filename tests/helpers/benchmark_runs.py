"""Benchmarks made small, and the stock trainers run in this process."""
import importlib.util
import json
import os.path as osp
import runpy
import sys

import torch
from mmengine.config import Config
from mmengine.registry import MODELS

import caco_ext  # noqa: F401  # before anything of a host
from tests.helpers import ROOT

CONFIGS = osp.join(ROOT, 'configs', 'benchmarks')
#: A ResNet of an eighth of the widths.
NARROW = dict(stem_channels=8, base_channels=8)


def stock(package: str, script: str) -> str:
    """Path of a script that a host ships."""
    spec = importlib.util.find_spec(package)
    return osp.join(spec.submodule_search_locations[0], '.mim/tools', script)


def run_stock(monkeypatch, package: str, script: str, *arguments) -> None:
    """Run a host's script as ``python script arguments`` would.

    In this process, which saves the seconds that a new one takes to import
    torch and the hosts."""
    path = stock(package, script)
    monkeypatch.setattr(sys, 'argv', [path, *map(str, arguments)])
    monkeypatch.setenv('LOCAL_RANK', '0')
    runpy.run_path(path, run_name='__main__')


def resume(monkeypatch, package: str, config: str, work, *options) -> list:
    """Go on with a run whose backbone's file is no longer there; gives the
    step of each evaluation of both parts."""
    before = results(work)
    for path in work.parent.glob('a.pth'):
        path.unlink()
    run_stock(monkeypatch, package, 'train.py', config, '--work-dir', work,
              '--resume', '--cfg-options', *options)
    after = results(work)
    assert after['checkpoint'] == before['checkpoint']
    assert after['history'][:len(before['history'])] == before['history']
    return [entry['iter'] for entry in after['history']]


def write(cfg: Config, folder, name: str = 'tiny.py') -> str:
    """Write a config that was changed; gives the file."""
    path = str(folder / name)
    cfg.dump(path)
    return path


def quick(cfg: Config, batch_size: int = 2) -> Config:
    """No worker processes, and a log line for every step."""
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[name].update(num_workers=0, persistent_workers=False)
        cfg[name].pop('pin_memory', None)
    cfg.train_dataloader.batch_size = batch_size
    cfg.default_hooks.logger.interval = 1
    cfg.randomness = dict(seed=0)
    return cfg


def pretrained(path, depth: int = 50, seed: int = 0, **options) -> dict:
    """Write a backbone with random weights as a pre-training leaves it; gives
    the weights without a prefix."""
    torch.manual_seed(seed)
    net = MODELS.build(dict(type='mmselfsup.ResNet', depth=depth, **options))
    net.init_weights()
    state = net.state_dict()
    # as training leaves them, no 1 and 0
    for name, value in state.items():
        if value.is_floating_point() and value.ndim == 1:
            value.add_(0.1 * torch.rand(value.shape))
    torch.save(
        dict(
            meta={}, state_dict={
                f'backbone.{n}': v
                for n, v in state.items()
            }), path)
    return state


def results(folder) -> dict:
    """Content of a run's ``results.json``."""
    return json.loads((folder / 'results.json').read_text())


def losses(folder) -> list:
    """The loss of every step of a run, from its scalars."""
    [path] = sorted(folder.glob('*/vis_data/scalars.json'))[-1:]
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row['loss'] for row in rows if 'loss' in row]
