"""tools/setup_env.sh, with a Python that only pretends to install."""
import os
import os.path as osp
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.helpers import ROOT
from tests.helpers.processes import environment

# Answers as Python and pip would. `venv` copies it, so the environment's
# Python is it, too. What it is asked for stands in $CALLS.
PYTHON = r'''#!/usr/bin/env bash
real='@REAL@'
echo "$*${PIP_NO_CACHE_DIR:+ (no cache)}" >>"$CALLS"
case "$*" in
'-m venv '*)
    mkdir -p "$3/bin" "$3/${MKVENV:-}" && cp "$0" "$3/bin/python" ;;
'-m pip install '*requirements.txt)
    echo begun >>"$CALLS"
    sleep "${SLOW:-0}"
    echo ended >>"$CALLS" ;;
'-m pip download '*)
    last=${!#}
    while [ "$1" != -d ]; do shift; done
    name=$(echo "$last" | sed 's/==/-/; s/^onedl-/onedl_/')
    tar -czf "$2/$name.tar.gz" -C "$SOURCES" "$name" ;;
'-m pip '*)
    [ -z "${OFFLINE:-}" ] || {
        echo 'ERROR: No matching distribution'
        exit 1
    } ;;
*get_device_capability*)
    echo "${TORCH:-2.14.1 cp311 cpu - c++20}" ;;
'setup.py '*) exec "$real" "$@" ;;
*'import cv2'*) [ -z "${NO_LIBGL:-}" ] ;;
*entry_points*) ;;
*'import caco_ext'*) echo "HOME $HOME trying" >>"$CALLS" ;;
*'import requires'*) printf '%s\n' 'nvidia-a==1' 'triton~=3.8' ;;
*'import importlib'* | *importlib.metadata*)
    case "$*" in *"version('${INSTALLED:-none}')"*) ;; *) exit 1 ;; esac ;;
*sys.version_info* | *sysconfig* | *ensurepip*) exec "$real" "$@" ;;
esac
'''.replace('@REAL@', sys.executable)

# Makes a wheel's name, and notes how it was called.
SETUP = '''
import os, sys
flags = ['-std=c++14']
folder = sys.argv[sys.argv.index('-d') + 1]
os.makedirs(folder)
names = ('MMCV_WITH_OPS', 'FORCE_CUDA', 'TORCH_CUDA_ARCH_LIST', 'CUDA_HOME')
name = os.path.basename(os.getcwd()) + '-cp311-any.whl'
with open(os.path.join(folder, name), 'w') as f:
    f.write(repr([flags, [os.environ.get(n) for n in names]]))
'''


@pytest.fixture
def clone(tmp_path):
    """What setup_env.sh needs of a clone, and programs in ``bin``."""
    root = tmp_path / 'a clone'
    for name in ('tools/setup_env.sh', 'tools/build_mmcv.sh', 'setup.py',
                 'pyproject.toml', 'caco_ext/version.py',
                 'caco_ext/utils/startup.py'):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(osp.join(ROOT, name), root / name)
    shutil.copytree(osp.join(ROOT, 'requirements'), root / 'requirements')
    (tmp_path / 'bin').mkdir()
    for name in ('python3', 'other-python'):
        program = tmp_path / 'bin' / name
        program.write_text(PYTHON)
        program.chmod(0o755)
    for name in ('mmcv-2.0.1', 'onedl_mmcv-2.3.6'):
        source = tmp_path / 'sources' / name
        source.mkdir(parents=True)
        (source / 'setup.py').write_text(SETUP)
    return root


class Setup:
    """Runs setup_env.sh in a clone.

    Args:
        clone (Path): The clone.
    """

    def __init__(self, clone) -> None:
        self.clone = clone
        self.calls = clone.parent / 'calls'

    def start(self, *arguments, **changes):
        """Start it in a process group of its own."""
        folder = self.clone.parent
        env = environment(
            PATH=f'{folder}/bin:{os.environ["PATH"]}',
            CALLS=str(self.calls),
            SOURCES=str(folder / 'sources'),
            XDG_CACHE_HOME=str(folder / 'cache'),
            PIP_NO_CACHE_DIR='',
            MIN_DISK_GB='0')
        return subprocess.Popen(
            ['bash', self.clone / 'tools' / 'setup_env.sh', *arguments],
            env={
                **env,
                **changes
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True)

    def __call__(self, *arguments, fails=False, **changes):
        """Run it to its end and return its last line."""
        process = self.start(*arguments, **changes)
        output = process.communicate(timeout=120)[0]
        assert (process.returncode != 0) == fails, output
        return output.strip().splitlines()[-1]

    def wait_for(self, line) -> None:
        """Wait until Python was called in some way."""
        for _ in range(200):
            if self.calls.exists() and line in self.calls.read_text():
                return
            time.sleep(0.05)
        raise AssertionError(f'no {line} in {self.calls.read_text()}')

    def forget(self) -> None:
        """Forget the calls."""
        self.calls.write_text('')

    def read(self, name) -> str:
        """A file of the environment."""
        return (self.clone / '.venv' / name).read_text()

    def require(self, name) -> None:
        """Add a requirement."""
        with open(self.clone / 'requirements' / 'tests.txt', 'a') as file:
            file.write(f'{name}\n')

    def keep(self):
        """A file that an environment made anew does not have."""
        kept = self.clone / '.venv' / 'kept'
        kept.write_text('')
        return kept


@pytest.fixture
def setup(clone):
    """Run setup_env.sh."""
    return Setup(clone)


def test_installs_once(setup):
    assert 'mmcv lite' in setup()
    assert 'ops=lite' in setup.read('.complete')
    calls = setup.calls.read_text()
    assert 'pip install --prefer-binary --no-compile -r' in calls
    assert 'openmim==0.3.9' in calls
    assert f'-e {setup.clone} --no-deps' in calls
    pins = setup.read('requirements.txt')
    assert 'torch==2.14.1' in pins and 'mmdet==3.3.0' in pins
    setup.forget()
    assert setup().endswith('(nothing to do)')
    assert 'pip' not in setup.calls.read_text()


def test_new_requirements_are_installed_into_what_is_there(setup):
    setup()
    kept = setup.keep()
    setup.require('another')
    setup.forget()
    setup()
    assert '-m venv' not in setup.calls.read_text()
    assert kept.exists()
    assert 'another' in setup.read('requirements.txt')


def test_another_python_or_place_makes_a_new_one(setup):
    setup()
    setup.keep()
    moved = setup.clone.parent / 'moved'
    setup.clone.rename(moved)
    again = Setup(moved)
    again()
    assert not (moved / '.venv' / 'kept').exists()
    assert f'root={moved}' in again.read('.complete')


def test_killed_in_the_middle_and_mended(setup):
    process = setup.start(SLOW='60')
    setup.wait_for('begun')
    (setup.clone / '.venv' / 'half').write_text('')
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (setup.clone / '.venv' / '.complete').exists()
    assert 'mmcv lite' in setup()
    # pip takes what it finds half installed for installed.
    assert not (setup.clone / '.venv' / 'half').exists()


@pytest.mark.slow
def test_two_at_once(setup):
    first = setup.start(SLOW='2')
    setup.wait_for('begun')
    second = setup.start()
    outputs = [p.communicate(timeout=120)[0] for p in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0]
    assert 'waiting for it' in outputs[1]
    assert outputs[1].strip().endswith('(made by the other set-up)')
    assert setup.calls.read_text().count('begun') == 1


@pytest.mark.slow
def test_nobody_installs_beside_an_orphan(setup):
    process = setup.start(SLOW='3')
    setup.wait_for('begun')
    # Only the script: its pip goes on, as it does when memory is short.
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    setup()
    calls = setup.calls.read_text().splitlines()
    order = [x for x in calls if x in ('begun', 'ended')]
    assert order == ['begun', 'ended', 'begun', 'ended']


def test_opencv_without_a_desktop(setup):
    assert 'mmcv lite' in setup(NO_LIBGL='1')
    calls = setup.calls.read_text()
    assert '-m pip uninstall -y opencv-python\n' in calls
    assert 'opencv-python-headless==4.11.0.86' in calls
    # Both own the folder cv2: the next set-up begins with neither.
    setup.forget()
    setup.require('another')
    setup(INSTALLED='opencv-python-headless')
    calls = setup.calls.read_text()
    gone = '-m pip uninstall -y opencv-python-headless opencv-python\n'
    assert calls.index(gone) < calls.index('-r ')


def test_compiles_mmcv_once_and_goes_back(setup):
    setup()
    assert 'mmcv full' in setup('--with-ops', INSTALLED='mmcv-lite')
    calls = setup.calls.read_text()
    assert '-m pip uninstall -y mmcv-lite' in calls
    pins = setup.read('requirements.txt')
    assert 'mmcv-lite==' not in pins and 'mmengine' in pins
    wheel = (
        setup.clone.parent / 'cache' / 'caco_ext' / 'wheels' /
        'mmcv2.0.1-torch2.14.1-cp311-cpu' / 'mmcv-2.0.1-cp311-any.whl')
    flags, (with_ops, cuda, archs, _) = eval(wheel.read_text())
    assert flags == ['-std=c++20']
    assert (with_ops, cuda, archs) == ('1', '0', None)
    assert f'--no-deps --force-reinstall {wheel}' in calls
    assert not (setup.clone / '.venv' / 'build-mmcv').exists()
    # Without an option an environment keeps what it has.
    assert setup().endswith('(nothing to do)')
    setup.forget()
    assert 'mmcv lite' in setup('--without-ops', INSTALLED='mmcv')
    calls = setup.calls.read_text()
    assert '-m pip uninstall -y mmcv\n' in calls
    # The wheel is there for the next time.
    setup.forget()
    setup('--with-ops', INSTALLED='mmcv-lite')
    assert 'setup.py' not in setup.calls.read_text()


def test_compiles_for_the_gpu_that_is_there(setup):
    toolkit = setup.clone.parent / 'cuda'
    (toolkit / 'bin').mkdir(parents=True)
    (toolkit / 'bin' / 'nvcc').write_text('')
    (toolkit / 'bin' / 'nvcc').chmod(0o755)
    setup(
        '--with-ops',
        TORCH='2.14.1.cu130 cp311 cu130 8.0;9.0 c++20',
        CUDA_HOME=str(toolkit))
    wheel = (
        setup.clone.parent / 'cache' / 'caco_ext' / 'wheels' /
        'mmcv2.0.1-torch2.14.1.cu130-cp311-cu130-sm8090' /
        'mmcv-2.0.1-cp311-any.whl')
    _, values = eval(wheel.read_text())
    assert values == ['1', '1', '8.0;9.0', str(toolkit)]


def test_no_compiler(setup):
    line = setup('--with-ops', fails=True, CXX='no-such-compiler')
    assert line == ('setup_env.sh: error: --with-ops: the compiler '
                    'CXX=no-such-compiler is not there')
    assert not (setup.clone / '.venv').exists()


def test_no_network(setup):
    line = setup(fails=True, OFFLINE='1')
    log = setup.clone / '.venv' / 'setup.log'
    assert line.endswith('pip finds no package: no network, or an index '
                         f'without it; details: {log}')
    assert 'No matching distribution' in log.read_text()
    assert 'mmcv lite' in setup()


def test_no_network_leaves_what_is_there(setup):
    setup()
    kept = setup.keep()
    setup.require('another')
    for _ in range(2):
        assert 'no network' in setup(fails=True, OFFLINE='1')
        assert kept.exists()
    # The next one does not take it for complete, and does not begin anew.
    setup.forget()
    assert 'mmcv lite' in setup()
    assert '-m pip install ' in setup.calls.read_text() and kept.exists()
    assert setup().endswith('(nothing to do)')


def test_a_home_that_cannot_be_written(setup):
    assert 'mmcv lite' in setup(HOME='/proc/1/none')
    assert f'HOME {setup.clone}/.venv trying' in setup.calls.read_text()


def test_no_room(setup):
    line = setup(fails=True, MIN_DISK_GB='9999999')
    assert f'GB free in {setup.clone}, 9999999 GB needed' in line
    line = setup(fails=True, MIN_DISK_GB='much')
    assert line.endswith('MIN_DISK_GB=much is no whole number')


def test_little_room(setup):
    """Torch comes part by part, because pip keeps all wheels of a call."""
    setup()
    calls, venv = setup.calls.read_text(), setup.clone / '.venv'
    order = [
        calls.index(f'--no-compile {arguments}')
        for arguments in (f'--no-deps -r {venv}/torch.txt', 'nvidia-a==1',
                          'triton~=3.8', f'-r {venv}/requirements.txt')
    ]
    assert order == sorted(order)
    # Beside it the rest, of which nothing may bring torch too.
    assert calls.index(f'-r {venv}/others.txt') < order[-1]
    torch, others = ({
        pin.split('==')[0]
        for pin in (venv / f'{name}.txt').read_text().splitlines()
    } for name in ('torch', 'others'))
    assert torch == {'torch', 'torchvision'}
    assert 'mmengine' in others and not torch & others
    # Room for the packages, and for pip's copies of them or not.
    assert 'no cache' not in calls
    home = setup.clone.parent
    stat = os.statvfs(home)
    free = stat.f_bavail * stat.f_frsize * 3 // 4 // 10**9
    shutil.rmtree(venv)
    setup(MIN_DISK_GB=str(free), HOME=str(home))
    calls = setup.calls.read_text()
    assert f'-r {venv}/requirements.txt (no cache)' in calls


def test_no_permission(setup):
    # Permissions mean nothing to root; a folder in the file's place does.
    (setup.clone / '.venv.lock').mkdir()
    assert f'cannot write in {setup.clone}' in setup(fails=True)


def test_wrong_python(setup, tmp_path):
    old = tmp_path / 'bin' / 'old'
    old.write_text('#!/usr/bin/env bash\necho 3.9\n')
    old.chmod(0o755)
    line = setup('--python', str(old), fails=True)
    assert f'--python {old} is Python 3.9; 3.10 to 3.12 is supported' in line
    assert setup(
        '--python=/gone', fails=True).endswith('--python /gone does not run')
    shutil.copy(old, tmp_path / 'bin' / 'python3')
    tools = tmp_path / 'few'
    tools.mkdir()
    for name in ('bash', 'dirname', 'cat', 'sed', 'flock'):
        (tools / name).symlink_to(shutil.which(name))
    (tools / 'python3').symlink_to(old)
    line = setup(fails=True, PATH=str(tools))
    assert 'no Python 3.10 to 3.12 here ( python3 is 3.9,' in line


def test_what_it_did_not_make_is_left_alone(setup):
    mine = setup.clone / '.venv' / 'mine'
    mine.parent.mkdir()
    mine.write_text('')
    assert 'was not made by this script; move it away' in setup(fails=True)
    assert mine.exists()


def test_unknown_option(setup):
    assert setup(
        '--with-op', fails=True).endswith('unknown option --with-op; see '
                                          '--help')


def names(path):
    """The packages of a list of requirements."""
    return [
        line.partition('==')[0].split('<')[0]
        for line in path.read_text().splitlines()
        if line and not line.startswith('#')
    ]


def test_other_hosts_stand_side_by_side(setup):
    setup()
    for host in ('mmpretrain', 'onedl'):
        assert f'({host}, ' in setup('--host', host)
        assert setup(f'--host={host}').endswith('(nothing to do)')
    assert setup().endswith('(nothing to do)')
    own, successor, forks = (
        names(setup.clone / folder / 'requirements.txt')
        for folder in ('.venv', '.venv-mmpretrain', '.venv-onedl'))
    assert set(own) - set(successor) == {'mmcls', 'mmselfsup'}
    assert set(successor) - set(own) == {'mmpretrain'}
    assert set(own) - set(forks) == {
        'mmengine', 'mmcv-lite', 'mmcls', 'mmselfsup', 'mmdet',
        'mmsegmentation'
    }
    assert {'onedl-mmcv', 'onedl-mmsegmentation'} < set(forks)
    assert forks.count('numpy') == forks.count('opencv-python') == 1
    assert 'mmselfsup, mmpretrain or onedl' in setup(
        '--host', 'other', fails=True)


def test_other_hosts_share_packages(setup):
    setup()
    version = f'{sys.version_info[0]}.{sys.version_info[1]}'
    packages = f'lib/python{version}/site-packages'
    own = setup.clone / '.venv' / packages
    for name in ('torch', 'torch-2.14.1.dist-info'):
        (own / name).mkdir(parents=True)
        (own / name / 'a').write_text(name)
    setup.forget()
    setup('--host', 'onedl', MKVENV=f'{packages}/pip')
    there = setup.clone / '.venv-onedl' / packages
    assert (there / 'torch/a').samefile(own / 'torch/a')
    assert (there / 'torch-2.14.1.dist-info/a').exists()
    # All of it: half of another pip must not be among it.
    assert sorted(os.listdir(there)) == sorted(os.listdir(own))
    calls = setup.calls.read_text()
    gone = calls.index('pip uninstall -y mmengine mmcv-lite mmcls mmselfsup ')
    assert 'entry_points(group="console_scripts")' in calls[:gone]
    assert gone < calls.index(f'-r {setup.clone}/.venv-onedl/requirements.txt')
    assert 'pip>=25' not in calls


def test_the_forks_operators_are_compiled_and_given_back(setup):
    assert 'mmcv full' in setup('--host', 'onedl', '--with-ops')
    wheel = next((setup.clone.parent / 'cache').rglob('*.whl'))
    assert wheel.name == 'onedl_mmcv-2.3.6-cp311-any.whl'
    assert 'onedl-mmcv2.3.6-torch2.14.1-cp311-cpu' in str(wheel)
    pins = setup.clone / '.venv-onedl' / 'requirements.txt'
    assert 'onedl-mmcv' not in names(pins)
    setup('--host', 'onedl', '--without-ops', INSTALLED='onedl-mmcv')
    assert 'pip uninstall -y onedl-mmcv' in setup.calls.read_text()
    assert 'onedl-mmcv' in names(pins)
