"""One ``results.json`` for every run of a benchmark."""
import json
import os.path as osp
from typing import Any, Dict, Mapping, Optional

from caco_ext.utils.environment import versions
from caco_ext.utils.files import write_whole

FILE = 'results.json'


def write_results(folder: str,
                  task: str,
                  protocol: str,
                  metrics: Mapping[str, float],
                  checkpoint: Optional[Mapping[str, Any]] = None,
                  **more: Any) -> str:
    """Write what a benchmark measured.

    Args:
        folder (str): The run's work folder.
        task (str): Name of the task, such as 'detection_coco'.
        protocol (str): How it was measured, in one line.
        metrics (Mapping[str, float]): The final numbers by name.
        checkpoint (Mapping, optional): Result of
            :func:`caco_ext.transfer.load_pretrained`; None for a random
            baseline. Defaults to None.
        **more (Any): Further entries, plain data.

    Returns:
        str: Path of the file.
    """
    content = dict(
        task=task,
        protocol=protocol,
        metrics={
            name: float(value)
            for name, value in metrics.items()
        },
        checkpoint=checkpoint and dict(checkpoint),
        **more,
        versions=versions())

    path = osp.join(folder, FILE)
    write_whole(path, json.dumps(content, indent=2) + '\n')
    return path


def read_results(path: str) -> Dict[str, Any]:
    """Read a file of :func:`write_results`.

    Args:
        path (str): The file, or the folder that it is in.

    Returns:
        dict[str, Any]: Its content.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is not of a benchmark.
    """
    path = osp.join(path, FILE) if osp.isdir(path) else path
    with open(path, encoding='utf-8') as file:
        try:
            content = json.load(file)
        except json.JSONDecodeError as error:
            raise ValueError(f'{path} is not JSON: {error}') from error
    if not isinstance(content, dict) or not {'task', 'metrics'
                                             } <= set(content):
        raise ValueError(f'{path} is no result of a benchmark: it has no '
                         "'task' or no 'metrics'")
    return content
