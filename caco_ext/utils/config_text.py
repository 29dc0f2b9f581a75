"""Check the text of a config from a file of unknown origin."""
import ast

_PLAIN = (ast.Constant, ast.Dict, ast.List, ast.Tuple, ast.Set, ast.UnaryOp,
          ast.USub, ast.Load, ast.keyword)


def check_config_text(text: str) -> None:
    """Refuse a config that does more than assign values to names.

    A checkpoint holds the config of its run as Python code, which mmengine
    executes. A run writes only plain data in ``dict(...)`` there. Anything
    else was added by somebody.

    Args:
        text (str): The config.

    Raises:
        ValueError: It does more. Names the line.

    Example:
        >>> check_config_text('model = dict(depth=18)')
        >>> check_config_text('import os')
        Traceback (most recent call last):
        ValueError: line 1 of the config is more than plain data
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f'the config is no Python code: {error}') from error
    for statement in statements:
        if not _is_plain(statement):
            raise ValueError(f'line {statement.lineno} of the config is more '
                             'than plain data')


def _is_plain(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Assign):
        return False
    names = [getattr(one, 'id', '') for one in statement.targets]
    # mmengine would execute the files that `_base_` names.
    if not all(names) or {'_base_', 'dict'} & set(names):
        return False
    nodes = list(ast.walk(statement.value))
    # `dict` may be called, and no other name may occur.
    called = {
        id(node.func)
        for node in nodes if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name) and node.func.id == 'dict'
    }
    return all(
        id(node) in called or isinstance(node, _PLAIN) or (
            isinstance(node, ast.Call) and id(node.func) in called)
        for node in nodes)
