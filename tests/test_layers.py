"""Imports run down the layers, and no two files import each other."""
import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

import pytest

ROOT = Path(__file__).parents[1]
# From the ground up. A room imports from itself and from lines above its own.
LAYERS = (
    ['version'],
    ['utils', 'ops'],
    ['models', 'datasets', 'converters'],
    ['evaluation'],
    ['engine', 'transfer'],
    ['visualization', 'compat'],
    ['apis', 'doctor'],
    ['__init__', '__main__'],
    ['tools'],
)
LEVELS = {room: i for i, rooms in enumerate(LAYERS) for room in rooms}
# It is applied before anything else of the package is imported.
ONLY = dict(compat=['utils'])


class Import(NamedTuple):
    file: Path
    line: int
    target: Path

    def __str__(self) -> str:
        return (f'{self.file}:{self.line}: {room_of(self.file)} imports '
                f'{self.target} of {room_of(self.target)}')


def room_of(file: Path) -> str:
    return 'tools' if file.parts[0] == 'tools' else Path(file.parts[1]).stem


def find_module(root: Path, name: str, folder: Path) -> Optional[Path]:
    """The file of a module; a script finds those of its own folder too."""
    path = Path(*name.split('.'))
    for base in (Path(), folder):
        for file in (base / path / '__init__.py', base / f'{path}.py'):
            if (root / file).is_file():
                return file
    return None


def imported_names(node: ast.AST, package: Tuple[str, ...]) -> Iterator[str]:
    """Full names of what a statement or a call imports."""

    def absolute(name: str, level: int) -> str:
        parts = package[:len(package) - level + 1] if level else ()
        return '.'.join([*parts, *filter(None, [name])])

    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = absolute(node.module or '', node.level)
        yield from (f'{module}.{alias.name}' for alias in node.names)
    elif isinstance(node, ast.Call):
        called = ast.unparse(node.func).split('.')[-1]
        name = node.args[0] if node.args else None
        if called in ('import_module', '__import__') and \
                isinstance(name, ast.Constant) and isinstance(name.value, str):
            bare = name.value.lstrip('.')
            yield absolute(bare, len(name.value) - len(bare))


def read_imports(root: Path) -> List[Import]:
    """All imports of the package and the tools from each other."""
    found = []
    for path in sorted([*root.glob('caco_ext/**/*.py'),
                        *root.glob('tools/**/*.py')]):  # yapf: disable
        file = path.relative_to(root)
        if '.mim' in file.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            for name in imported_names(node, file.parent.parts):
                # the last part may be a name in the module
                targets = [
                    find_module(root, one, file.parent)
                    for one in (name, name.rpartition('.')[0]) if one
                ]
                target = next(filter(None, targets), file)
                if target != file:
                    found.append(Import(file, node.lineno, target))
    return [*dict.fromkeys(found)]  # once for all names of a line


def upward_imports(imports: List[Import]) -> List[str]:
    problems = []
    for one in imports:
        here, there = room_of(one.file), room_of(one.target)
        if not {here, there} <= LEVELS.keys():
            problems.append(f'{one}: LAYERS has no line for one of them')
        elif here in ONLY and there not in (here, *ONLY[here]):
            problems.append(f'{one}; it may import {ONLY[here]} alone')
        elif here != there and LEVELS[here] <= LEVELS[there]:
            problems.append(f'{one}, which is not below it')
    return problems


def circles(imports: List[Import]) -> List[str]:
    problems = [
        f'{one}, the package that it is in' for one in imports
        if one.target.name == '__init__.py'
        and one.target.parent in one.file.parents
    ]
    graph: Dict[Path, Dict[Path, Import]] = {}
    for one in imports:
        graph.setdefault(one.target, {})[one.file] = one
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        files = error.args[1]
        steps = [graph[b][a] for a, b in zip(files, files[1:])]
        problems.append('a circle: ' + '; '.join(map(str, sorted(steps))))
    return problems


def problems_of(root: Path) -> List[str]:
    imports = read_imports(root)
    return upward_imports(imports) + circles(imports)


def test_layers():
    imports = read_imports(ROOT)
    assert len(imports) > 500  # the reader is not blind
    problems = upward_imports(imports) + circles(imports)
    assert not problems, '\n'.join(problems)


TREE = {
    'caco_ext/__init__.py': 'from . import compat, engine, models',
    'caco_ext/version.py': '',
    'caco_ext/utils/__init__.py': 'from .text import first',
    'caco_ext/utils/text.py': 'from caco_ext.version import __version__',
    'caco_ext/compat/__init__.py': 'from caco_ext.utils.text import first',
    'caco_ext/datasets/__init__.py': 'import torch',
    'caco_ext/models/__init__.py': 'from .net import Net',
    'caco_ext/models/net.py': 'from .loss import Loss\nimport ast',
    'caco_ext/models/loss.py': 'from ..utils import first',
    'caco_ext/engine/__init__.py': 'from .hook import Hook',
    'caco_ext/engine/hook.py': 'from caco_ext.models import Net',
    'tools/train.py': 'import caco_ext\nfrom report import table',
    'tools/report.py': 'from caco_ext.engine.hook import Hook',
}
ENGINE = 'caco_ext/engine/hook.py of engine, which is not below it'


@pytest.mark.parametrize('file, source, problem', [
    ('', '', ''),
    ('models/loss', 'def f():\n  from caco_ext.engine.hook import Hook',
     f'caco_ext/models/loss.py:2: models imports {ENGINE}'),
    ('models/loss', 'class A:\n  from ..engine import hook', ENGINE),
    ('models/loss', 'import caco_ext.engine.hook as h', ENGINE),
    ('models/loss', 'import_module("caco_ext.engine.hook")', ENGINE),
    ('models/loss', 'importlib.import_module("..engine.hook", x)', ENGINE),
    ('models/loss', '__import__("caco_ext.engine")',
     'caco_ext/engine/__init__.py of engine, which is not below it'),
    ('models/loss', 'from caco_ext import datasets',
     'models imports caco_ext/datasets/__init__.py of datasets, which is not'),
    ('models/loss', 'import caco_ext',
     'caco_ext/__init__.py of __init__, which is not below it'),
    ('models/loss', 'import tools.train', 'tools/train.py of tools, which is'),
    ('utils/text', 'from .. import compat', 'of compat, which is not below'),
    ('compat/x', 'from .. import models', "it may import ['utils'] alone"),
    ('extra/__init__', 'from .. import utils', 'LAYERS has no line for one'),
    ('models/loss', 'def f():\n  from . import net',
     'a circle: caco_ext/models/loss.py:2: models imports '
     'caco_ext/models/net.py of models; caco_ext/models/net.py:1: models '
     'imports caco_ext/models/loss.py of models'),
    ('models/loss', 'from . import Net',
     'models/__init__.py of models, the package that it is in'),
    ('models/loss', 'from caco_ext.models.extra import x', ''),
    ('../tools/report', 'if True:\n  from train import main',
     'a circle: tools/report.py:2: tools imports tools/train.py of tools; '
     'tools/train.py:2: tools imports tools/report.py of tools'),
])  # yapf: disable
def test_what_is_planted_is_found(tmp_path, file, source, problem):
    for name, text in {**TREE, f'caco_ext/{file}.py': source}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = '\n'.join(problems_of(tmp_path))
    assert problem in found and bool(problem) == bool(found)
