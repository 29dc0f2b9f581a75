import pytest
import torch

from tests.helpers.tiny_runs import train, write_pictures

# Before anything is computed: children that are forked later would wait
# forever for threads that are their parent's.
torch.set_num_threads(1)


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    """str: A folder of pictures."""
    return write_pictures(tmp_path_factory.mktemp('pictures'))


@pytest.fixture(scope='session')
def reference(data, tmp_path_factory):
    """Callable: Work folder of an undisturbed run of a method, trained
    once."""
    folders = {}

    def of(method):
        if method not in folders:
            folders[method] = tmp_path_factory.mktemp('whole') / method
            train(data, folders[method], method)
        return folders[method]

    return of
