"""The package as others get it: built, installed, found, removed.

Everything happens in environments that see the packages of this one but not
this clone, and without asking for anything from a network.
"""
import os
import os.path as osp
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile

import pytest

from .test_tools.conftest import write_config

ROOT = osp.dirname(osp.dirname(osp.abspath(__file__)))
QUICK_START = 'caco_resnet18_1xb64-sym-warmcos-15e_photopatches.py'
# What the source distribution has at its top, and nothing else.
SOURCES = {
    'LICENSE', 'MANIFEST.in', 'PKG-INFO', 'README.md', 'caco_ext',
    'caco_ext.egg-info', 'configs', 'docs', 'model-index.yml',
    'pyproject.toml', 'requirements', 'setup.cfg', 'setup.py', 'tests', 'tools'
}
# Scripts that need the rest of a clone.
CLONE_ONLY = {'build_mmcv.sh', 'quickstart.sh', 'run_tests.sh', 'setup_env.sh'}
PIP = (sys.executable, '-m', 'pip', '--disable-pip-version-check', '-q')
OFFLINE = ('--no-deps', '--no-index', '--no-build-isolation')


def run(*command, cwd, fails=False) -> str:
    """Run a command that must not see this clone."""
    env = {
        k: v
        for k, v in os.environ.items()
        if k not in ('PYTHONPATH', 'LOCAL_RANK', 'PYTHONSAFEPATH')
    }
    done = subprocess.run([str(c) for c in command],
                          cwd=cwd,
                          env=dict(env, OMP_NUM_THREADS='1'),
                          stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT,
                          text=True,
                          timeout=300)
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout


def make_environment(folder):
    """Make an environment that also sees this one's packages.

    Args:
        folder (Path): Where.

    Returns:
        tuple[Path, Path]: Its Python and its ``site-packages``.
    """
    run(sys.executable, '-m', 'venv', '--without-pip', folder, cwd=ROOT)
    version = 'python%d.%d' % sys.version_info[:2]
    site = folder / 'lib' / version / 'site-packages'
    (site / 'hosts.pth').write_text(sysconfig.get_path('purelib') + '\n')
    return folder / 'bin' / 'python', site


@pytest.fixture(scope='module')
def clone(tmp_path_factory):
    """A copy of this clone in a folder with a space in its name."""
    folder = tmp_path_factory.mktemp('a folder') / 'clone'
    ignored = shutil.ignore_patterns('.git', '.venv*', '.mim', 'work_dirs',
                                     'build', 'dist', '*.egg-info',
                                     '__pycache__', '.pytest_cache')
    shutil.copytree(ROOT, folder, ignore=ignored)
    return folder


def install(python, cwd, *what):
    """Install from this machine into an environment."""
    run(*PIP,
        '--python',
        python,
        'install',
        '--ignore-installed',
        *OFFLINE,
        *what,
        cwd=cwd)


@pytest.fixture(scope='module')
def wheel(clone, tmp_path_factory):
    """A wheel that was built from the source distribution."""
    folder = tmp_path_factory.mktemp('dist')
    run(sys.executable,
        'setup.py',
        '-q',
        'sdist',
        '--dist-dir',
        folder,
        cwd=clone)
    archive, = folder.iterdir()
    with tarfile.open(archive) as f:
        names = f.getnames()
    assert not [n for n in names if '/.mim' in n or '__pycache__' in n]
    assert {n.split('/')[1] for n in names if '/' in n} == SOURCES
    assert not [
        n for n in names if '/docs/_build' in n or '/docs/methods' in n
    ]
    run(*PIP, 'wheel', *OFFLINE, '-w', folder, archive, cwd=folder)
    return next(folder.glob('*.whl'))


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory):
    """Python and ``site-packages`` of an environment with the wheel."""
    python, site = make_environment(tmp_path_factory.mktemp('wheel') / 'env')
    install(python, site, wheel)
    return python, site


@pytest.fixture(scope='module')
def editable(clone, tmp_path_factory):
    """The same with an editable installation of the copied clone."""
    python, site = make_environment(tmp_path_factory.mktemp('edit') / 'env')
    install(python, site, '-e', clone)
    return python, site


def test_wheel_carries_what_openmim_needs_and_nothing_else(wheel, clone):
    with zipfile.ZipFile(wheel) as f:
        names = set(f.namelist())
        metadata = f.read('caco_ext-0.1.0.dist-info/METADATA').decode()
    files = {
        folder: {
            str(path.relative_to(clone))
            for path in (clone / folder).rglob('*')
            if path.is_file() and path.suffix != '.pyc'
        }
        for folder in ('caco_ext', 'configs', 'tools')
    }
    scripts = {n for n in files['tools'] if osp.basename(n) not in CLONE_ONLY}
    assert len(files['tools']) == len(scripts) + len(CLONE_ONLY)
    # The build leaves links of an editable installation in the clone.
    package = {n for n in files['caco_ext'] if '/.mim/' not in n}
    for_mim = {*files['configs'], *scripts, 'model-index.yml'}
    assert len(package) > 50 and len(for_mim) > 50
    parts = ('METADATA', 'RECORD', 'WHEEL', 'top_level.txt',
             'licenses/LICENSE')
    assert names == {
        *package, *(f'caco_ext/.mim/{name}' for name in for_mim),
        'caco_ext_startup.py', 'caco_ext_startup.pth',
        *(f'caco_ext-0.1.0.dist-info/{part}' for part in parts)
    }
    required = [
        x.partition(': ')[2] for x in metadata.splitlines()
        if x.startswith('Requires-Dist')
    ]
    assert 'torch>=2.0' in required and 'mmselfsup==1.0.0' in required
    # A wheel asks for neither mmcv nor mmcv-lite, which exclude each other.
    assert not [x for x in required if x.startswith('mmcv')]
    assert 'License: Apache-2.0' in metadata
    assert 'Requires-Python: >=3.10' in metadata


def test_editable_links_to_the_clone(editable, clone):
    for name in ('configs', 'tools', 'model-index.yml'):
        link = clone / 'caco_ext' / '.mim' / name
        assert link.is_symlink()
        assert link.resolve() == clone / name


@pytest.mark.parametrize('kind', ['installed', 'editable'])
def test_other_projects_inherit_configs(kind, request, clone, tmp_path):
    python, site = request.getfixturevalue(kind)
    (tmp_path / 'mine.py').write_text(
        f"_base_ = 'caco_ext::selfsup/caco/{QUICK_START}'\n"
        'train_cfg = dict(max_epochs=7)\n')
    code = '''
import sys
from mmengine.config import Config
cfg = Config.fromfile('mine.py')
assert cfg.train_cfg.max_epochs == 7 and cfg.model.type
# built where ResNet and the like are found
assert cfg.model._scope_ == 'mmselfsup', cfg.model
import caco_ext
print(caco_ext.__file__)
'''
    output = run(python, '-W', 'ignore', '-c', code, cwd=tmp_path)
    home = site if kind == 'installed' else clone
    assert output.strip().splitlines()[-1] == str(home / 'caco_ext' /
                                                  '__init__.py')


@pytest.mark.parametrize('kind', ['installed', 'editable'])
def test_mim_finds_the_models(kind, request, tmp_path):
    python, _ = request.getfixturevalue(kind)
    output = run(
        python,
        '-W',
        'ignore',
        '-m',
        'mim',
        'search',
        'caco_ext',
        '--valid-config',
        cwd=tmp_path)
    assert 'caco_r' in output.strip().splitlines()[-1]


@pytest.mark.parametrize('kind', ['installed', 'editable'])
def test_doctor_finds_the_set_up_sound(kind, request, tmp_path):
    python, _ = request.getfixturevalue(kind)
    output = run(python, '-m', 'caco_ext', cwd=tmp_path)
    assert output.strip().endswith('the set-up is sound'), output
    assert '[wrong]' not in output


def test_doctor_names_what_is_wrong(editable, tmp_path):
    python, _ = editable
    # A release of numpy, by its metadata, that mmcv 2.0 cannot work with.
    info = tmp_path / 'numpy-2.3.0.dist-info'
    info.mkdir()
    (info / 'METADATA'
     ).write_text('Metadata-Version: 2.1\nName: numpy\nVersion: 2.3.0\n')
    output = run(python, '-m', 'caco_ext', cwd=tmp_path, fails=True)
    assert 'numpy 2.3.0 is installed' in output
    assert 'fix: pip install "numpy<2"' in output
    assert output.strip().endswith('1 thing(s) to mend')
    assert 'Traceback' not in output


def test_mim_trains(installed, tmp_path):
    python, _ = installed
    write_config(tmp_path)
    data = tmp_path / 'data'
    knn = 'default_hooks.knn'
    output = run(
        python,
        '-m',
        'mim',
        'train',
        'caco_ext',
        QUICK_START,
        '--gpus',
        '0',
        '--work-dir',
        'run',
        '--cfg-options',
        'train_cfg.max_epochs=1',
        'model.memory.num_columns=32',
        'train_dataloader.batch_size=4',
        'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        f'train_dataloader.dataset.data_root={data}',
        f'{knn}.train_dataset.data_root={data}',
        f'{knn}.test_dataset.data_root={data}',
        f'{knn}.k=3',
        f'{knn}.num_workers=0',
        'default_hooks.checkpoint.interval=1',
        'default_hooks.setup_check.allow_cut_schedule=True',
        cwd=tmp_path)
    assert 'Training finished successfully' in output
    assert (tmp_path / 'run' / 'epoch_1.pth').exists()


def test_stock_trainer_trains_an_inheriting_config(editable, tmp_path):
    python, _ = editable
    base = f'caco_ext::selfsup/caco/{QUICK_START}'
    config = write_config(tmp_path, base=base)
    code = ('import os, mmselfsup; print(os.path.join(os.path.dirname('
            'mmselfsup.__file__), ".mim", "tools", "train.py"))')
    stock = run(
        python, '-W', 'ignore', '-c', code, cwd=tmp_path).splitlines()[-1]
    run(python, stock, config, '--work-dir', 'run', cwd=tmp_path)
    assert (tmp_path / 'run' / 'epoch_1.pth').exists()


@pytest.mark.parametrize('kind', ['wheel', 'clone'])
def test_uninstalling_leaves_nothing(kind, request, tmp_path):
    what = request.getfixturevalue(kind)
    python, site = make_environment(tmp_path / 'env')
    before = {p.name for p in site.iterdir()}
    pip = (*PIP, '--python', python)
    target = (what, ) if kind == 'wheel' else ('-e', what)
    run(*pip, 'install', '--ignore-installed', *OFFLINE, *target, cwd=tmp_path)
    assert (site / 'caco_ext_startup.pth').exists()
    run(python, '-c', 'import caco_ext_startup', cwd=tmp_path)
    run(*pip, 'uninstall', '-y', 'caco_ext', cwd=tmp_path)
    assert {p.name for p in site.iterdir()} - {'__pycache__'} == before
    run(python, '-c', 'import json', cwd=tmp_path)
