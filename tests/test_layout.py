"""Where the tests and their helpers stand."""
import ast

from tests.helpers import ROOT

TESTS = ROOT / 'tests'
KINDS = ('__init__.py', 'conftest.py', 'test_*.py')


def test_helpers_are_in_one_folder():
    others = [
        path for path in TESTS.rglob('*.py')
        if not any(map(path.match, KINDS))
        and path.relative_to(TESTS).parts[0] not in ('helpers', 'data')
    ]
    assert not others


def test_nothing_is_imported_from_a_conftest():
    """It holds fixtures and hooks, which pytest finds by itself."""
    found = []
    for path in TESTS.rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                words = [getattr(node, 'module', None) or '']
                words += [alias.name for alias in node.names]
                if 'conftest' in '.'.join(words).split('.'):
                    found.append(f'{path}:{node.lineno}')
    assert not found
