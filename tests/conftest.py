"""What every test needs."""
import signal

import pytest
from mmengine.visualization import Visualizer

# Files that take minutes, with few tests: were they the last, one worker would
# wait for the other.
LONG = ('test_benchmarks.py', 'test_commands.py', 'test_compare_methods.py',
        'test_launchers.py', 'test_notebook.py', 'test_photopatches.py',
        'test_quickstart.py', 'test_ranks.py', 'test_report.py',
        'test_segmentation.py')


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONG)


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
