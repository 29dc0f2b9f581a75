"""What reaches MLflow, by a stand-in that notes it.

MLflow is no requirement of this package; docs/visualization.md says with
which release the real one was tried.
"""
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.visualization import MLflowVisBackend

from caco_ext.compat import trackers


@pytest.fixture
def mlflow(monkeypatch):
    """Notes what it is told, refuses folders and has a store of its own."""
    trackers.log_to_mlflow()
    said = []

    def note(name):
        return lambda *args, **kwargs: said.append((name, *args))

    names = ('set_tracking_uri', 'create_experiment', 'set_experiment',
             'get_experiment_by_name', 'log_image')
    module = SimpleNamespace(**{name: note(name) for name in names})
    module.said = said
    module.get_tracking_uri = lambda: 'sqlite:////here/mlflow.db'
    switch = SimpleNamespace(get=lambda: False)
    module.environment_variables = SimpleNamespace(
        MLFLOW_ALLOW_FILE_STORE=switch)
    monkeypatch.setitem(sys.modules, 'mlflow', module)
    monkeypatch.setitem(sys.modules, 'mlflow.environment_variables',
                        module.environment_variables)
    return module


PICTURE = np.zeros((2, 2, 3), np.uint8)


def test_pictures_get_a_file_each(mlflow, tmp_path):
    backend = MLflowVisBackend(str(tmp_path))
    backend.add_image('neighbours', PICTURE, 5)
    backend.add_image('neighbours', PICTURE, step=10)
    backend.add_image('mine.jpg', PICTURE, 10)
    files = [what[2] for what in mlflow.said if what[0] == 'log_image']
    assert files == ['neighbours_5.png', 'neighbours_10.png', 'mine.jpg']


def store(mlflow, folder, **options):
    backend = MLflowVisBackend(str(folder), **options)
    assert backend.experiment is mlflow
    (uri, ), = [
        what[1:] for what in mlflow.said if what[0] == 'set_tracking_uri'
    ]
    return uri


def test_its_own_store_where_it_refuses_folders(mlflow, tmp_path):
    assert store(mlflow, tmp_path) == 'sqlite:////here/mlflow.db'


def test_a_named_store_is_kept(mlflow, tmp_path):
    assert store(mlflow, tmp_path, tracking_uri='http://a:1') == 'http://a:1'


def test_a_folder_where_it_is_allowed(mlflow, tmp_path):
    switch = mlflow.environment_variables.MLFLOW_ALLOW_FILE_STORE
    switch.get = lambda: True
    assert store(mlflow, tmp_path) == f'file://{tmp_path}'


def test_a_folder_for_an_older_mlflow(mlflow, tmp_path):
    del mlflow.environment_variables.MLFLOW_ALLOW_FILE_STORE
    assert store(mlflow, tmp_path) == f'file://{tmp_path}'


def test_once():
    trackers.log_to_mlflow()
    before = MLflowVisBackend.add_image
    assert trackers.log_to_mlflow()[0]
    assert MLflowVisBackend.add_image is before
