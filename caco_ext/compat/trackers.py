# Licensed under the Apache License, Version 2.0.
"""Log pictures and numbers to current MLflow."""
import os.path as osp
from typing import Any, Callable, Optional

from caco_ext.utils.patching import replaces
from .versions import Outcome


def log_to_mlflow() -> Outcome:
    """Let ``MLflowVisBackend`` start and take pictures.

    What breaks: without a ``tracking_uri``, mmengine 0.10 stores runs in a
    folder, which MLflow 3 refuses. It also passes the name of a picture on as
    a file name. Names usually have no ending, so the training ends with
    ``unknown file extension``. And it leaves out the step, so a later picture
    would overwrite an earlier one.

    Remedy: if folders are refused, use MLflow's own store
    (``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in the current folder). Call
    the file ``NAME_STEP.png``. A name with an ending does not change.

    Needed while mmengine 0.10 is the engine.
    """
    from mmengine.visualization import MLflowVisBackend

    @replaces(MLflowVisBackend, '_init_env')
    def init_where_mlflow_allows(init_env: Callable, self: Any) -> Any:
        if self._tracking_uri is None:
            self._tracking_uri = _own_store_of_mlflow()
        return init_env(self)

    @replaces(MLflowVisBackend, 'add_image')
    def add_image_of_a_step(add_image: Callable,
                            self: Any,
                            name: str,
                            image: Any,
                            step: int = 0,
                            **kwargs: Any) -> None:
        if not osp.splitext(name)[1]:
            name = f'{name}_{step}.png'
        return add_image(self, name, image, step, **kwargs)

    return True, 'mmengine names no file for a picture'


def _own_store_of_mlflow() -> Optional[str]:
    """MLflow's default store for runs; None if it accepts any folder."""
    try:
        import mlflow
        from mlflow.environment_variables import MLFLOW_ALLOW_FILE_STORE
    except ImportError:  # an older MLflow, or none, which the host reports
        return None
    return None if MLFLOW_ALLOW_FILE_STORE.get() else mlflow.get_tracking_uri()
