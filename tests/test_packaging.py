"""The package as others get it: built, installed, found, removed.

Everything happens in environments that see the packages of this one but not
this clone, and without asking for anything from a network.
"""
import os.path as osp
import re
import shutil
import sys
import tarfile
import zipfile
from glob import glob
from importlib.metadata import Distribution, PackageNotFoundError, distribution

import pytest
import yaml
from packaging.requirements import Requirement

from caco_ext.version import __version__
from tests.helpers import ROOT
from tests.helpers.processes import OFFLINE, PIP, install, make_environment
from tests.helpers.processes import run_outside as run
from tests.helpers.processes import small_options, write_config

pytestmark = pytest.mark.slow

QUICK_START = 'caco_resnet18_1xb64-sym-coslr-15e_photopatches.py'
# What the source distribution has at its top, and nothing else.
SOURCES = {
    'CHANGELOG.md', 'CITATION.cff', 'CONTRIBUTING.md', 'LICENSE',
    'MANIFEST.in', 'PKG-INFO', 'README.md', 'caco_ext', 'caco_ext.egg-info',
    'configs', 'docs', 'model-index.yml', 'pyproject.toml', 'requirements',
    'setup.cfg', 'setup.py', 'tests', 'tools'
}
EXTRAS = {
    'mmselfsup', 'mmpretrain', 'onedl', 'report', 'lmdb', 'data', 'hub',
    'export', 'all', 'dev'
}
# Scripts that need the rest of a clone.
CLONE_ONLY = {'build_mmcv.sh', 'quickstart.sh', 'run_tests.sh', 'setup_env.sh'}
# In an environment without extras: each feature says what it needs, and works
# as soon as that is there.
MISSING_EXTRAS = '''
import importlib
import runpy
import sys
from pathlib import Path

import caco_ext
assert not {'mmcv', 'matplotlib', 'tqdm'} & set(sys.modules)
from caco_ext import doctor
from caco_ext.utils.checkpoints import import_safetensors
from caco_ext.datasets.containers.lmdb_format import import_lmdb
from caco_ext.datasets.lmdb_writer import _bar
from caco_ext.datasets.photo_patches import photographs
from caco_ext.utils.extras import import_extra
from caco_ext.visualization.embedding import check_method

assert doctor.main() == 1
for extra, features in {
        'lmdb': [import_lmdb, lambda: _bar([])],
        'report': [lambda: check_method('tsne'), lambda:
                   importlib.import_module('caco_ext.visualization.page')],
        'data': [lambda: next(photographs())],  # scikit-learn came above
        'export': [import_safetensors, lambda:
                   import_extra('onnx', 'export', '--to onnx')]}.items():
    for feature in features:
        line = ''
        try:
            feature()
        except (ImportError, ValueError) as error:
            line = str(error)
        assert f'pip install "caco_ext[{extra}]"' in line, line
        assert '\\n' not in line
    sys.path.append(f'extras/{extra}')
    importlib.invalidate_caches()
    for feature in features:
        feature()

tools = Path(caco_ext.__file__).parent / '.mim'
config = next(tools.glob('configs/selfsup/caco/caco_*_in1k.py'))
sys.argv = ['train.py', str(config)]
try:
    runpy.run_path(str(tools / 'tools/train.py'), run_name='__main__')
except SystemExit as error:
    line = str(error)
assert 'mmselfsup' in line and '\\n' not in line, line
assert 'pip install "caco_ext[mmselfsup]" mmcv-lite==' in line
print('the rest was done')
'''


@pytest.fixture(scope='module')
def clone(tmp_path_factory):
    """A copy of this clone in a folder with a space in its name."""
    folder = tmp_path_factory.mktemp('a folder') / 'clone'
    ignored = shutil.ignore_patterns('.git', '.venv*', '.mim', 'work_dirs',
                                     'build', 'dist', '*.egg-info',
                                     '__pycache__', '.pytest_cache')
    shutil.copytree(ROOT, folder, ignore=ignored)
    return folder


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
    assert 'torch>=2.1' in required
    assert 'mmselfsup==1.0.0; extra == "mmselfsup"' in required
    # A wheel asks for neither mmcv nor mmcv-lite, which exclude each other,
    # and for no host unless an extra names it.
    assert not [x for x in required if x.startswith('mmcv')]
    assert not [
        x for x in required if 'extra ==' not in x and x.startswith('mm')
        and not x.startswith('mmengine')
    ]
    assert {x.partition('extra == ')[2].strip('"')
            for x in required} - {''} == EXTRAS
    assert 'caco_ext/py.typed' in names
    assert 'License-Expression: Apache-2.0' in metadata
    assert 'Requires-Python: >=3.10' in metadata


def test_editable_links_to_the_clone(editable, clone):
    for name in ('configs', 'tools', 'model-index.yml'):
        link = clone / 'caco_ext' / '.mim' / name
        assert link.is_symlink()
        assert link.resolve() == clone / name


def test_starting_python_costs_less_than_a_millisecond(installed, tmp_path):
    output = run(
        'bash',
        '-c',
        'for i in 1 2 3 4 5 6; do "$0" -X importtime -c pass; done',
        installed[0],
        cwd=tmp_path)
    times = re.findall(r'\|\s+(\d+) \|\s+caco_ext_startup\n', output)
    # In microseconds; others may have the machine, so the quickest counts.
    assert len(times) == 6 and min(map(int, times)) < 1000


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


def test_gpu_check_finds_its_parts_and_the_presets(installed, tmp_path):
    python, site = installed
    tools = site / 'caco_ext/.mim/tools'
    output = run(
        python,
        tools / 'benchmarks/speed/gpu_check.py',
        *('--device', 'cpu', '--tiny', '--only', 'steps'),
        cwd=tmp_path)
    assert ' 0 to look at' in output and 'CARE bf16' in output


def test_pins_are_what_the_package_asks_for():
    with open(osp.join(ROOT, 'pyproject.toml')) as f:
        listed = f.read().partition('dependencies = [')[2].partition(']')[0]
    asked = {
        req.name: req.specifier
        for req in map(Requirement, re.findall('"(.*)"', listed))
    }
    with open(osp.join(ROOT, 'requirements', 'runtime.txt')) as f:
        pinned = {
            req.name: req.specifier
            for req in map(Requirement,
                           re.findall('^[^#\n]+$', f.read(), re.MULTILINE))
        }
    assert len(asked) > 8 and set(pinned) - {'mmcv-lite'} == set(asked)
    for name, pin in pinned.items():
        for version in (one.version for one in pin if one.operator == '=='):
            assert asked.get(name, pin).contains(version), name


def test_citation_names_the_papers_of_the_methods():
    cited = yaml.safe_load(open(osp.join(ROOT, 'CITATION.cff')))
    papers = {
        (paper['Title'], paper['URL'])
        for path in glob(osp.join(ROOT, 'configs/selfsup/*/metafile.yml'))
        for paper in [yaml.safe_load(open(path))['Collections'][0]['Paper']]
    }
    assert len(papers) == 4
    assert {(one['title'], one['url'])
            for one in cited['references']} == papers
    for one in cited['references']:
        # An identifier of arXiv begins with year and month.
        assert f'/{one["year"] - 2000}' in one['url'] and one['authors']
    assert cited['version'] == __version__


def test_benchmarks_are_inherited_in_the_scope_of_their_host(
        installed, tmp_path):
    python, _ = installed
    code = '''
from pathlib import Path
from mmengine.config import Config
from mmengine.registry import TRANSFORMS, init_default_scope
import caco_ext
for scope, name in (
        ('mmdet', 'mmdetection/coco/mask-rcnn_r50-c4_ms-1x_coco.py'),
        ('mmdet', 'mmdetection/voc0712/faster-rcnn_r50-c4_ms-24k_voc0712.py'),
        ('mmseg', 'mmsegmentation/voc12aug/'
         'fcn_r50-d8_4xb4-20k_voc12aug-512x512.py'),
        ('mmcls', 'classification/imagenet/'
         'resnet50_linear-8xb32-coslr-100e_in1k.py')):
    Path('mine.py').write_text(f"_base_ = 'caco_ext::benchmarks/{name}'")
    cfg = Config.fromfile('mine.py')
    assert cfg.default_scope == scope, name
    init_default_scope(scope)
    pipelines = [cfg.train_pipeline, cfg.test_pipeline]
    # What another config takes by its name, as in `_base_.coco_pipeline`.
    if scope == 'mmdet':
        pipelines += [cfg.coco_pipeline, cfg.get('voc_test_pipeline', [])]
    for pipeline in pipelines:
        for step in [TRANSFORMS.build(step) for step in pipeline][-1:]:
            assert type(step).__module__.startswith(scope), step
'''
    run(python, '-W', 'ignore', '-c', code, cwd=tmp_path)


def link_packages(folder, wanted, without=()):
    """Fill a folder with links to installed packages and all they need.

    Args:
        folder (Path): Is made.
        wanted (Iterable[str]): Requirements. Those that are not installed
            here are left out.
        without (Container[str]): Names of packages to leave out.

    Returns:
        set[str]: Names of the packages.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found, todo = {}, list(map(Requirement, wanted))
    while todo:
        req = todo.pop()
        name = req.name.lower().replace('_', '-')
        if name in found or name in without or req.marker and \
                not req.marker.evaluate({'extra': ''}):
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        todo += map(Requirement, found[name].requires or [])
    for one in found.values():
        for top in {file.parts[0] for file in one.files} - {'..'}:
            if top != '__pycache__' and not (folder / top).exists():
                (folder / top).symlink_to(one.locate_file(top))
    return set(found)


def test_missing_extras_are_named_in_one_line(wheel, tmp_path):
    run(sys.executable, '-m', 'venv', '--without-pip', 'env', cwd=tmp_path)
    python = tmp_path / 'env' / 'bin' / 'python'
    site, = (tmp_path / 'env' / 'lib').glob('python*/site-packages')
    install(python, tmp_path, wheel)
    wanted = Distribution.at(next(site.glob('*.dist-info'))).requires
    core = link_packages(site, [x for x in wanted if 'extra' not in x])
    assert 'torch' in core and not core & {'mmselfsup', 'mmcv-lite', 'lmdb'}
    for extra in ('report', 'lmdb', 'data', 'export'):
        lines = [
            x.partition(';')[0] for x in wanted if f'extra == "{extra}"' in x
        ]
        link_packages(tmp_path / 'extras' / extra, lines, core)
    (tmp_path / 'script.py').write_text(MISSING_EXTRAS)
    output = run(python, '-W', 'ignore', 'script.py', site, cwd=tmp_path)
    assert output.count('[wrong]') == 1 and 'no host is installed' in output
    assert ('fix: pip install "caco_ext[report,lmdb,data,export]"' in output)
    assert 'Traceback' not in output
    assert output.rstrip().endswith('the rest was done')


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
    command = f'-m mim train caco_ext {QUICK_START} --gpus 0 --work-dir run'
    output = run(
        python,
        *command.split(),
        '--cfg-options',
        *small_options(tmp_path / 'data'),
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
