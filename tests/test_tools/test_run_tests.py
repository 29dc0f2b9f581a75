"""tools/run_tests.sh, with a Python that only notes what it is asked for."""
import shutil
import subprocess

import pytest

from tests.helpers import ROOT

PYTHON = '''#!/bin/sh
echo "${0%/bin/python} $*" >>calls
case "$*" in *"$FAILS"*) exit 3 ;; esac
'''


@pytest.fixture
def run_tests(tmp_path):
    """Callable: Exit status, and what Python was asked for."""
    (tmp_path / 'tools').mkdir()
    shutil.copy(ROOT / 'tools/run_tests.sh', tmp_path / 'tools')
    (tmp_path / 'tools/setup_env.sh').write_text('')
    for name in ('.venv', '.venv-onedl'):
        python = tmp_path / name / 'bin/python'
        python.parent.mkdir(parents=True)
        python.write_text(PYTHON)
        python.chmod(0o755)

    def call(*arguments, fails='nothing'):
        (tmp_path / 'calls').write_text('')
        done = subprocess.run(
            ['bash', tmp_path / 'tools/run_tests.sh', *arguments],
            env=dict(PATH='/usr/bin:/bin', FAILS=fails),
            capture_output=True,
            timeout=60)
        lines = (tmp_path / 'calls').read_text().splitlines()
        return done.returncode, [
            line.replace(f'{tmp_path}/', '') for line in lines
        ]

    return call


def test_everything(run_tests):
    status, calls = run_tests()
    assert status == 0
    assert sum('pytest' in call for call in calls) == 2
    assert sum('.venv-onedl -m pytest' in call for call in calls) == 1
    assert calls[-1].startswith('.venv -m pytest')
    assert {'flake8', 'isort', 'yapf',
            'pytest'} <= {call.split()[2]
                          for call in calls}
    assert not any('slow' in call for call in calls)


@pytest.mark.parametrize('paths', [(), ('tests/ops', 'tests/models')])
def test_fast(run_tests, paths):
    """Neither another host nor the style."""
    status, calls = run_tests('--fast', *paths)
    assert status == 0 and len(calls) == 1
    assert calls[0].startswith('.venv -m pytest ')
    assert calls[0].endswith(' '.join(('-m not slow', *paths)))


@pytest.mark.parametrize('arguments, fails', [
    ((), 'no-loadscope-reorder'),
    ((), 'tests/hosts'),
    ((), 'yapf'),
    (('--fast', ), 'not slow'),
    (('tests/ops', ), 'tests/ops'),
    (('--host', 'onedl'), 'tests/hosts'),
])
def test_a_failure_is_the_exit_status(run_tests, arguments, fails):
    assert run_tests(*arguments, fails=fails)[0] != 0
