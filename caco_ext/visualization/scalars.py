"""Read the files of numbers that a run leaves; parts may be damaged."""
import json
import os.path as osp
import warnings
from typing import Any, Dict, List

# Warnings about one file.
MOST_WARNINGS = 3


def warn_of(where: str, reason: object) -> None:
    """Warn in one line that something is left out.

    Args:
        where (str): What is left out.
        reason (object): Why, as an error or text.
    """
    text = (str(reason) or type(reason).__name__).splitlines()[0]
    warnings.warn(f'{where} is left out: {text}', stacklevel=3)


def read_rows(path: str) -> List[dict]:
    """Read a scalars file.

    A killed run may leave half a line, and a failed machine zeros. Such lines
    are left out, with a warning that names them.

    Args:
        path (str): The file.

    Returns:
        list[dict]: The other rows, in order.
    """
    rows, bad = [], 0
    with open(path, 'rb') as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                rows.append(_check_row(json.loads(line.decode())))
            except (ValueError, RecursionError) as error:
                bad += 1
                if bad <= MOST_WARNINGS:
                    warn_of(f'line {number} of {path}', error)
    if bad > MOST_WARNINGS:
        warn_of(f'what {bad - MOST_WARNINGS} further lines of {path} hold',
                'damaged')
    return rows


def _check_row(row: Any) -> dict:
    """Refuse a row without a valid iteration, epoch or step.

    Raises:
        ValueError: Says what is wrong with it.
    """
    if not isinstance(row, dict):
        raise ValueError(f'{type(row).__name__} in place of names and values')
    places = [name for name in ('iter', 'epoch', 'step') if name in row]
    if 'step' not in row and 'loss' not in row:
        raise ValueError('it has no step')
    for name in places:
        least = 0 if name == 'step' else 1
        if type(row[name]) is not int or not least <= row[name] < 2**53:
            raise ValueError(f'{name} is {str(row[name])[:40]}')
    for name, value in row.items():
        known = name == 'loss' or name.startswith(('knn/', 'bank/'))
        if known and type(value) not in (int, float):
            raise ValueError(f'{name} is a {type(value).__name__}')
        if type(value) is int and abs(value) >= 2**1000:
            raise ValueError(f'{name} is too large')
    return row


def _read_json(path: str) -> Dict[str, Any]:
    """The content of a file; {} where it is absent or damaged."""
    if not osp.isfile(path):
        return {}
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
        if not isinstance(content, dict):
            raise ValueError(f'it holds a {type(content).__name__}')
    except (OSError, ValueError, RecursionError) as error:
        warn_of(path, error)
        return {}
    return content


def read_record(path: str) -> Dict[str, Any]:
    """Read the record that RunRecordHook wrote.

    Args:
        path (str): The file.

    Returns:
        dict[str, Any]: Its content; {} where it is absent, or damaged, with a
        warning.
    """
    record = _read_json(path)
    for name, least in (('begins_at_iteration', 0), ('epoch_length', 1)):
        value = record.get(name, least)
        if type(value) is not int or not least <= value < 2**53:
            warn_of(path, f'{name} is {value!r}')
            return {}
    return record
