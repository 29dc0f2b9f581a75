"""Suggest names for a misspelt one."""
import difflib
import os
import os.path as osp
from typing import Iterable, List


def nearest_names(name: str,
                  candidates: Iterable[str],
                  count: int = 3) -> List[str]:
    """Find names that look alike.

    Args:
        name (str): The misspelt name.
        candidates (Iterable[str]): Valid names.
        count (int): Maximum number of results. Defaults to 3.

    Returns:
        list[str]: The nearest first; empty if none is near.
    """
    return difflib.get_close_matches(name, sorted(candidates), count, 0.6)


def no_such_file(kind: str, path: str) -> str:
    """Message for a missing file, with similar names.

    Args:
        kind (str): What it should be, such as 'config'.
        path (str): The file.

    Returns:
        str: One line, with the nearest names in the folder, or with the first
        missing folder of the path.

    Example:
        >>> no_such_file('config', 'configs/selfsup/cacoo/caco.py')
        'no such config: configs/selfsup/cacoo/caco.py; there is no folder
        configs/selfsup/cacoo; nearest in configs/selfsup: caco'
    """
    said = f'no such {kind}: {path}'
    if osp.isdir(path):
        return f'{said}, which is a folder; name a file in it'
    folder, name = osp.split(path)
    missing = None
    while folder and not osp.isdir(folder):
        missing = folder
        folder, name = osp.split(folder)
    if missing is not None:
        said = f'{said}; there is no folder {missing}'
    try:
        # Compared without their endings, which are all the same.
        there = {
            osp.splitext(one)[0]: one
            for one in os.listdir(folder or '.')
        }
    except OSError:
        return said
    nearest = nearest_names(osp.splitext(name)[0], there)
    if not nearest:
        return said
    return (f'{said}; nearest in {folder or "this folder"}: '
            f'{", ".join(there[one] for one in nearest)}')
