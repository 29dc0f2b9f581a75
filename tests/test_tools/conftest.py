"""A run small enough to be started as a process in every test."""
import importlib.util
import os
import os.path as osp
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from caco_ext.utils import launch

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
QUICK_START = osp.join(ROOT, 'configs', 'selfsup', 'caco',
                       'caco_resnet18_1xb64-sym-coslr-15e_photopatches.py')

# A few pictures and an epoch, of any method.
SMALL = '''
_base_ = {base!r}
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root={data!r}))
default_hooks = dict(
    knn=dict(
        train_dataset=dict(data_root={data!r}),
        test_dataset=dict(data_root={data!r}),
        k=3,
        batch_size=4,
        num_workers=0,
        interval=1))
default_hooks['checkpoint'] = dict(interval=1, save_best=None)
default_hooks['setup_check'] = dict(allow_cut_schedule=True)
train_cfg = dict(max_epochs=1)
'''
# A quarter of the widths: 9 MB a checkpoint in place of 141.
CHANGES = SMALL + '''
model = dict(
    backbone=dict(stem_channels=16, base_channels=16),
    neck=dict(in_channels=128, hid_channels=128),
    memory=dict(num_columns=32))
visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])
'''


def write_config(folder, base=QUICK_START, name='tiny.py') -> str:
    """Write a config and the pictures that it trains on.

    Args:
        folder (Path): Where to.
        base (str): What it inherits from. Defaults to the quick start.
        name (str): Its file name. Defaults to 'tiny.py'.

    Returns:
        str: Path of the config.
    """
    rng = np.random.default_rng(0)
    data = folder / 'data'
    for split, count in (('train', 4), ('val', 2)):
        for label in ('dark', 'light'):
            (data / split / label).mkdir(parents=True, exist_ok=True)
            first = 0 if label == 'dark' else 128
            for i in range(count):
                pixels = rng.integers(
                    first, first + 128, (64, 64, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(data / split / label / f'{i}.png')
    path = folder / name
    path.write_text(CHANGES.format(base=base, data=str(data)))
    return str(path)


def environment(**changes) -> dict:
    """Make the environment of a process.

    Args:
        changes (str): Variables to set.

    Returns:
        dict[str, str]: This process's, without what pytest's own launcher or
        a virtual environment may have set.
    """
    env = {
        k: v
        for k, v in os.environ.items()
        if k not in ('LOCAL_RANK', 'RANK', 'WORLD_SIZE', 'VIRTUAL_ENV')
    }
    env.update(OMP_NUM_THREADS='1', PYTHON=sys.executable)
    env['PYTHONPATH'] = os.pathsep.join(
        p for p in (ROOT, env.get('PYTHONPATH')) if p)
    return {**env, **changes}


def run(*command, cwd, fails=False, **changes) -> str:
    """Run a command to its end.

    Args:
        command (str): The command.
        cwd (Path): Where.
        fails (bool): Whether it has to fail. Defaults to False.
        changes (str): Environment variables to set.

    Returns:
        str: What it printed, both streams.
    """
    done = subprocess.run([str(c) for c in command],
                          cwd=cwd,
                          env=environment(**changes),
                          stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT,
                          text=True,
                          timeout=300)
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout


def run_tool(script, *arguments, **kwargs) -> str:
    """Run a Python or shell script of ``tools``.

    Args:
        script (str): Its path in ``tools``.
        arguments (str): Its arguments.
        kwargs: Of :func:`run`.

    Returns:
        str: What it printed.
    """
    interpreter = 'bash' if script.endswith('.sh') else sys.executable
    return run(interpreter, osp.join(ROOT, 'tools', script), *arguments,
               **kwargs)


@pytest.fixture
def call_tool(monkeypatch, tmp_path):
    """Run a Python script of ``tools`` in this process, which saves the
    seconds that a new one takes to import torch.

    Returns:
        Callable: Called with the script's name without ending and its
        arguments; works in ``tmp_path``.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')  # so that it is taken back

    def call(name, *arguments) -> None:
        script = osp.join(ROOT, 'tools', f'{name}.py')
        # The folder of the script comes first where Python starts it.
        monkeypatch.syspath_prepend(osp.dirname(script))
        spec = importlib.util.spec_from_file_location(f'tools_{name}', script)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        launch.run_tool(module.get_parser(), module.main,
                        [str(a) for a in arguments])

    return call


@pytest.fixture(scope='session')
def trained(tmp_path_factory):
    """A folder with ``tiny.py`` and one epoch of it in ``run``."""
    folder = tmp_path_factory.mktemp('trained')
    config = write_config(folder)
    output = run_tool(
        'train.py',
        config,
        '--work-dir',
        'run',
        '--auto-scale-lr',
        '--cfg-options',
        'auto_scale_lr.base_batch_size=8',
        cwd=folder)
    (folder / 'output.txt').write_text(output)
    return folder
