"""What every test needs."""
import importlib.util
import signal

import pytest
from mmengine.visualization import Visualizer

from caco_ext.utils import launch
from tests.helpers import ROOT
from tests.helpers.browser import CHROMIUM
from tests.helpers.picture_files import noise
from tests.helpers.processes import run_tool, write_config

# Files that are left out, and what of: a browser is no Python package, and
# umap-learn is optional. The last lines of a run name them.
LEFT_OUT = {
    ROOT / 'tests/visualization' / name: need
    for name, there, need in (
        ('test_in_browser.py', CHROMIUM, 'Chromium: apt-get install chromium'),
        ('test_umap.py', importlib.util.find_spec('umap'),
         'umap-learn: pip install -r requirements/report.txt'),
    ) if not there
}
collect_ignore = [str(path) for path in LEFT_OUT]


def pytest_collection_modifyitems(items):
    """Files with slow tests come first: were they the last, one worker would
    wait for the other."""
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    items.sort(key=lambda item: item.path not in slow)


def pytest_terminal_summary(terminalreporter, config):
    asked = [(config.invocation_params.dir / arg.partition('::')[0]).resolve()
             for arg in config.args]
    for path, need in LEFT_OUT.items():
        # Who names the file itself gets it, and its errors.
        if any(place in path.parents for place in asked):
            terminalreporter.write_line(
                f'not run: {path.relative_to(ROOT)} needs {need}')


def with_subclasses(cls):
    yield cls
    for sub in cls.__subclasses__():
        yield from with_subclasses(sub)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Drop the visualizers of earlier tests. The host keeps them, each class
    its own, by a name that is often the same: a run would write into the
    folder of an earlier one, which may be gone. A hook, because it comes
    before the fixtures of a module or of the session, in which runs begin
    too."""
    for cls in with_subclasses(Visualizer):
        cls._instance_dict.clear()


@pytest.fixture(autouse=True)
def own_signals():
    """Put back what a run that ends in an error leaves listening."""
    before = [(number, signal.getsignal(number))
              for number in (signal.SIGTERM, signal.SIGUSR1)]
    yield
    for number, handler in before:
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.fixture
def labelled(tmp_path):
    """Folder with three classes of ten PNG pictures."""
    for label, name in enumerate(('ant', 'bee', 'cat')):
        folder = tmp_path / 'pictures' / name
        folder.mkdir(parents=True)
        for i in range(10):
            noise(100 * label + i).save(folder / f'{i:02d}.png')
    return tmp_path / 'pictures'


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
        script = ROOT / 'tools' / f'{name}.py'
        # The folder of the script comes first where Python starts it.
        monkeypatch.syspath_prepend(str(script.parent))
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
