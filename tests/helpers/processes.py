"""Commands in processes and environments of their own, and a small run."""
import os
import subprocess
import sys
import sysconfig

import numpy as np
from PIL import Image

from tests.helpers import ROOT
from tests.helpers.warm_python import warm_python

#: In the clone.
QUICK_START = 'configs/selfsup/caco/' \
    'caco_resnet18_1xb64-sym-coslr-15e_photopatches.py'
# The remedies for machines without an accelerator are to be tested on
# machines that have one as well.
CPU = {
    **os.environ, 'CUDA_VISIBLE_DEVICES': '-1',
    'OMP_NUM_THREADS': '1',
    'MKL_NUM_THREADS': '1',
    'PYTHONPATH': os.pathsep.join(p for p in sys.path if p)
}

PIP = (sys.executable, '-m', 'pip', '--disable-pip-version-check', '-q')
OFFLINE = ('--no-deps', '--no-index', '--no-build-isolation')
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


def write_config(folder, base=ROOT / QUICK_START, name='tiny.py') -> str:
    """Write a config and the pictures that it trains on; gives its path."""
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
    path.write_text(CHANGES.format(base=str(base), data=str(data)))
    return str(path)


def small_options(data) -> list:
    """Options that make the quick start as small, on the same pictures."""
    loader, knn = 'train_dataloader', 'default_hooks.knn'
    return [
        'train_cfg.max_epochs=1', 'model.memory.num_columns=32',
        f'{loader}.batch_size=4', f'{loader}.num_workers=0',
        f'{loader}.persistent_workers=False',
        f'{loader}.dataset.data_root={data}',
        f'{knn}.train_dataset.data_root={data}',
        f'{knn}.test_dataset.data_root={data}', f'{knn}.k=3',
        f'{knn}.num_workers=0', 'default_hooks.checkpoint.interval=1',
        'default_hooks.setup_check.allow_cut_schedule=True'
    ]


def environment(**changes) -> dict:
    """This process's variables and ``changes``, without what pytest's own
    launcher or a virtual environment may have set."""
    env = {
        k: v
        for k, v in os.environ.items()
        if k not in ('LOCAL_RANK', 'RANK', 'WORLD_SIZE', 'VIRTUAL_ENV')
    }
    env.update(OMP_NUM_THREADS='1', PYTHON=sys.executable)
    env['PYTHONPATH'] = os.pathsep.join(
        p for p in (str(ROOT), env.get('PYTHONPATH')) if p)
    return {**env, **changes}


def outside() -> dict:
    """The variables of a process that must not see this clone."""
    env = environment()
    for name in ('PYTHONPATH', 'PYTHONSAFEPATH', 'PYTHON'):
        env.pop(name, None)
    return env


def run(*command, cwd, fails=False, env=None, **changes) -> str:
    """Run a command to its end, with ``changes`` of the environment or with
    ``env`` alone; gives what it printed, both streams."""
    done = subprocess.run([str(c) for c in command],
                          cwd=cwd,
                          env=env or environment(**changes),
                          stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT,
                          text=True,
                          timeout=300)
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout


def run_tool(script, *arguments, **kwargs) -> str:
    """Run a Python or shell script of ``tools``, as :func:`run` does."""
    interpreter = 'bash'
    if 'PYTHON' not in kwargs:
        kwargs['PYTHON'] = warm_python()
    if not script.endswith('.sh'):
        interpreter = kwargs['PYTHON']
    return run(interpreter, ROOT / 'tools' / script, *arguments, **kwargs)


def run_outside(*command, cwd, fails=False) -> str:
    """As :func:`run`, for a command that must not see this clone."""
    return run(*command, cwd=cwd, fails=fails, env=outside())


def make_environment(folder):
    """Make an environment that also sees this one's packages; gives its Python
    and its ``site-packages``."""
    run_outside(
        sys.executable, '-m', 'venv', '--without-pip', folder, cwd=ROOT)
    version = 'python%d.%d' % sys.version_info[:2]
    site = folder / 'lib' / version / 'site-packages'
    (site / 'hosts.pth').write_text(sysconfig.get_path('purelib') + '\n')
    return folder / 'bin' / 'python', site


def install(python, cwd, *what):
    """Install from this machine into an environment."""
    run_outside(
        *PIP,
        '--python',
        python,
        'install',
        '--ignore-installed',
        *OFFLINE,
        *what,
        cwd=cwd)


def as_user(clone, text) -> str:
    """Run lines of a shell in a clone, its environment activated."""
    return run(
        'bash',
        '-eo',
        'pipefail',
        '-c',
        f'. .venv/bin/activate\n{text}',
        cwd=clone,
        env=outside())
