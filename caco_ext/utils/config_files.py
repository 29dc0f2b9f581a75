"""Read a config file, and say where it is wrong."""
import os.path as osp
import re
import traceback
from typing import Optional

from mmengine.config import Config

from .errors import UsageError, one_line
from .names import no_such_file

# The functions of mmengine that read one file; each calls it `filename`.
_READERS = ('_is_lazy_import', '_file2dict', '_parse_lazy_import')


def read_config(path: str) -> Config:
    """Read a config file.

    Args:
        path (str): The file.

    Returns:
        Config: The config, including what it inherits.

    Raises:
        UsageError: It does not exist, or it or a file that it inherits cannot
            be read. Names file and line.
    """
    if not osp.isfile(path):
        raise UsageError(no_such_file('config', path))
    try:
        return Config.fromfile(path)
    except Exception as error:
        said = _explain(error, path)
        if said is None:
            raise  # a module that the config imports failed: show the stack
        raise UsageError(said) from error


def _explain(error: BaseException, path: str) -> Optional[str]:
    """Name the file and line of a config's error; None if there is none."""
    if isinstance(error, ImportError) and error.__context__ is not None:
        while error.__context__ is not None:
            error = error.__context__  # mmengine wraps it twice
        return (f'{path}: custom_imports: {one_line(error)}; PYTHONPATH must '
                'have the folder of the module')
    files, line = [], None
    for frame, number in traceback.walk_tb(error.__traceback__):
        name = frame.f_locals.get('filename')
        if frame.f_code.co_name in _READERS and isinstance(name, str):
            files.append(name)
        elif files and frame.f_code.co_filename == files[-1]:
            line = number
    if not files:
        return None
    missing = _missing_file(error) if line is None else None
    if missing is not None:
        by = [one for one in files if one != missing][-1]
        said = no_such_file('file', osp.normpath(missing))
        return f'{_shown(by, path)}: _base_: {said}'
    text = one_line(error)
    if isinstance(error, RecursionError):
        return f'{path}: _base_ leads back to {_shown(files[-1], path)}'
    if isinstance(error, SyntaxError):
        line, text = error.lineno, error.msg
    place = _shown(files[-1], path)
    return f'{place}, line {line}: {text}' if line else f'{place}: {text}'


def _shown(file: str, path: str) -> str:
    """Path of a file, in the user's spelling if the user named it."""
    return path if osp.abspath(path) == osp.abspath(file) else file


def _missing_file(error: BaseException) -> Optional[str]:
    """File that an error reports as missing; None for other errors."""
    if not isinstance(error, FileNotFoundError):
        return None
    named = re.search('file "(.+)" does not exist', str(error))
    return named.group(1) if named else error.filename


def config_path(name: str) -> str:
    """Path of a config of this package, installed or in a clone.

    Args:
        name (str): Its path in ``configs/selfsup``.

    Returns:
        str: A path that exists.

    Raises:
        FileNotFoundError: The package was installed without its configs.
    """
    package = osp.dirname(osp.dirname(osp.abspath(__file__)))
    folders = (osp.dirname(package), osp.join(package, '.mim'))
    for folder in folders:
        path = osp.join(folder, 'configs', 'selfsup', name)
        if osp.isfile(path):
            return path
    raise FileNotFoundError(f'no config {name!r} in configs/selfsup of '
                            f'{" or ".join(folders)}')
