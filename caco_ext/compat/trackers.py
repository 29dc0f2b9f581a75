# Licensed under the Apache License, Version 2.0.
"""Pictures and numbers in today's MLflow."""
import functools
import os.path as osp
from typing import Tuple


def log_to_mlflow() -> Tuple[bool, str]:
    """Let ``MLflowVisBackend`` start and take pictures.

    What breaks: mmengine 0.10 keeps runs in a folder unless it is given a
    ``tracking_uri``, which MLflow 3 refuses by now; it hands the name of
    a picture on as a file name, so that one without an ending, as it gives
    itself and as the other back ends want it, ends the training with
    ``unknown file extension``; and it leaves out the step, so that a later
    picture would overwrite an earlier one. Remedy: where folders are
    refused, take MLflow's own store (``MLFLOW_TRACKING_URI``, else
    ``mlflow.db`` in the current folder); call the file ``NAME_STEP.png``.
    A name that has an ending is left as it is.

    Returns:
        tuple[bool, str]: Whether it is in force, and why.
    """
    from mmengine.visualization import MLflowVisBackend
    init_env = MLflowVisBackend._init_env
    add_image = MLflowVisBackend.add_image
    if hasattr(add_image, 'caco_ext'):
        return True, 'done before'

    @functools.wraps(init_env)
    def init_where_mlflow_allows(self):
        if self._tracking_uri is None:
            self._tracking_uri = _own_store_of_mlflow()
        return init_env(self)

    @functools.wraps(add_image)
    def add_image_of_a_step(self, name, image, step=0, **kwargs):
        if not osp.splitext(name)[1]:
            name = f'{name}_{step}.png'
        return add_image(self, name, image, step, **kwargs)

    add_image_of_a_step.caco_ext = True
    MLflowVisBackend._init_env = init_where_mlflow_allows
    MLflowVisBackend.add_image = add_image_of_a_step
    return True, 'mmengine names no file for a picture'


def _own_store_of_mlflow():
    """Where MLflow keeps runs by itself; None where it takes any folder."""
    try:
        import mlflow
        from mlflow.environment_variables import MLFLOW_ALLOW_FILE_STORE
    except ImportError:  # an older MLflow, or none, of which the host tells
        return None
    return None if MLFLOW_ALLOW_FILE_STORE.get() else mlflow.get_tracking_uri()
