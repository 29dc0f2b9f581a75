"""Commands and snippets of the documentation, and what is said of them.

A comment directly before a block says how it is kept right:

    <!-- run by tests/a.py::test_b, tests/c.py::test_d -->
    <!-- not run: why -->

Without one ``test_commands.py`` executes the block. A command in the running
text or a table is one that a block has, one that a test of such a comment
starts, or one of which a comment on some page says

    <!-- not run (its first words): why -->
"""
import ast
import re
from functools import lru_cache
from pathlib import Path
from typing import Dict, List, NamedTuple

from tests.helpers import ROOT

# docs/methods is made of the pages beside the configs.
PAGES = [
    ROOT / 'README.md',
    ROOT / 'CONTRIBUTING.md',
    *sorted(
        path for path in (ROOT / 'docs').rglob('*.md')
        if not {'methods', '_build'} & set(path.parts)),
    *sorted(ROOT.glob('configs/selfsup/*/README.md')),
]
SHELL = ('sh', 'bash', 'shell', 'console')
BLOCK = re.compile(
    r'(?:^ *<!--((?:(?!-->).)*)-->\n)?'
    r'^( *)(`{3,}|~{3,})(\w+)[^\n]*\n(.*?)^ *\3 *$', re.M | re.S)
# All of them, also without a language, and comments.
FENCED = re.compile(r'^( *)(`{3,}|~{3,}).*?^ *\2 *$|^ *<!--.*?-->',
                    re.M | re.S)
MARKER = re.compile(r'^ *<!--\s*(run by|not run)\b(.*?)-->', re.M | re.S)
REASON = re.compile(r'^ *<!--\s*not run \((.*?)\):(.*?)-->', re.M | re.S)
# Any word that could be a program, and more words; not `lr = 1` or `a is ...`.
INLINE = re.compile(r'(?:\w+=\S+ )*[a-z][\w./-]* (?!=)(?!.*\.\.\.).+')
PROGRAM = re.compile(r'(?:^|\s)(?:(?:\S*/)?python(?: -m)?|bash|(?=mim ))'
                     r' ?([^\s-]\S*)')


class Block(NamedTuple):
    """A block of a page.

    Attributes:
        page (str): Path in the clone.
        line (int): Of its first fence.
        language (str): Behind the fence.
        text (str): Between the fences.
        tests (list[str]): That run it.
        reason (str): Why nothing does.
    """
    page: str
    line: int
    language: str
    text: str
    tests: List[str]
    reason: str

    def __str__(self):
        return f'{self.page}:{self.line}'

    @property
    def executed(self) -> bool:
        """Whether test_commands.py executes it."""
        return not (self.tests or self.reason)


def read_marker(comment):
    """(tests, reason) of a comment, ([], '') of any other comment."""
    match = MARKER.fullmatch(f'<!--{comment or ""}-->')
    if match is None:
        return [], ''
    text = ' '.join(match[2].split())
    if match[1] == 'not run':
        return [], text.lstrip(': ')
    return [test.strip() for test in text.split(',')], ''


def read_blocks(page: Path) -> List[Block]:
    """Find the blocks that name a language.

    Args:
        page (Path): A page in Markdown.

    Returns:
        list[Block]: In their order.
    """
    text = page.read_text()
    blocks = []
    for match in BLOCK.finditer(text):
        line = text[:match.start(3)].count('\n') + 1
        body = match[5]
        if match[4] == 'console':
            body = '\n'.join(row[2:] for row in body.splitlines()
                             if row[:2] == '$ ')
        blocks.append(
            Block(
                str(page.relative_to(ROOT)), line, match[4], body,
                *read_marker(match[1])))
    return blocks


def commands(block: Block) -> List[str]:
    """Lines of a shell block, without comments, continued ones joined."""
    lines = block.text.replace('\\\n', ' ').splitlines()
    lines = [re.sub(r'(^|\s)#.*', '', line).strip() for line in lines]
    return [line for line in lines if line]


def program(command: str) -> str:
    """What a command starts: a script's path, a module, or 'mim'. For other
    programs, which do many things, it is the whole command."""
    match = PROGRAM.search(command)
    if match:
        return match[1]
    first = command.split()[0]
    return first if first.endswith(('.py', '.sh')) else command


def same_program(a: str, b: str) -> bool:
    """Whether two programs are one; the text may leave out the folder."""
    return a == b or ('/' not in b and Path(a).name == b)


def options(command: str) -> set:
    """Names of the options of a command."""
    return set(re.findall(r'(?<= )--[a-z][\w-]*', command))


def inline_commands(page: Path) -> List[str]:
    """Commands in the running text and the tables of a page."""
    text = FENCED.sub('', page.read_text())
    spans = [' '.join(one.split()) for one in re.findall('`([^`]+)`', text)]
    return [one for one in spans if INLINE.fullmatch(one)]


def reasons(page: Path) -> Dict[str, str]:
    """{first words: why} of the commands in the text that nothing runs."""
    return {
        ' '.join(start.split()): ' '.join(why.split())
        for start, why in REASON.findall(page.read_text())
    }


def marked_tests(page: Path) -> List[str]:
    """All tests that a page names, before blocks, tables and paragraphs."""
    found = MARKER.findall(page.read_text())
    return [
        test.strip() for kind, text in found if kind == 'run by'
        for test in ' '.join(text.split()).split(',')
    ]


@lru_cache(maxsize=None)
def definitions(path: Path) -> dict:
    """{name: source} of what stands at the top of a test file, with what it
    imports from other test files and what ``conftest.py`` gives it."""
    found = {}
    if path.name.startswith('test_'):
        for folder in (ROOT / 'tests', path.parent):
            if (folder / 'conftest.py').is_file():
                found.update(definitions(folder / 'conftest.py'))
    text = path.read_text()
    for node in ast.parse(text).body:
        source = ast.get_source_segment(text, node)
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            marks = [
                ast.get_source_segment(text, one)
                for one in node.decorator_list
            ]
            found[node.name] = '\n'.join([*marks, source])
        elif isinstance(node, ast.Assign):
            for name in ast.walk(node):
                if isinstance(name, ast.Name) and isinstance(
                        name.ctx, ast.Store):
                    found[name.id] = source
        elif isinstance(node, ast.ImportFrom):
            folder = path.parents[node.level - 1] if node.level else ROOT
            other = folder.joinpath(*(node.module or '').split('.'))
            if other.with_suffix('.py').is_file() and 'tests' in other.parts:
                there = definitions(other.with_suffix('.py'))
                for name in node.names:
                    found[name.asname or name.name] = there.get(name.name, '')
    return found


@lru_cache(maxsize=None)
def source_of(test: str) -> str:
    """Source of a test and of all in the test files that it uses.

    Args:
        test (str): As ``tests/a.py::test_b`` or with ``[parameters]``.

    Raises:
        LookupError: There is no such test.
    """
    path, _, name = test.partition('::')
    name = name.partition('[')[0]
    if not (ROOT / path).is_file():
        raise LookupError(f'there is no file {path}')
    known = definitions(ROOT / path)
    if not name.startswith('test_') or name not in known:
        raise LookupError(f'{path} has no test {name!r}')
    used, left = set(), [name]
    while left:
        one = left.pop()
        if one not in used:
            used.add(one)
            left += set(re.findall(r'\w+', known[one])) & known.keys()
    return '\n'.join(known[one] for one in sorted(used))


def names(source: str, word: str) -> bool:
    """Whether a source has a word or an option."""
    return bool(re.search(rf'(?<![\w-]){re.escape(word)}(?![\w-])', source))


def runs(test: str, program: str) -> bool:
    """Whether a test starts a program: its source names it, and the host
    whose program it is."""
    source = source_of(test)
    if re.search(r'\bmark\.skip|\bskip\(|importorskip\(', source):
        return False
    if ' ' in program:  # all words of a command, in any order
        words = [word for word in program.split() if re.search(r'\w', word)]
        return all(names(source, word) for word in words)
    words = re.findall(r'site-packages/(\w+)/', program)
    name = Path(program).name
    # Each task of the benchmarks has a run.sh.
    words.append(name if name == 'run.sh' else Path(name).stem)
    return all(re.search(rf'\b{re.escape(word)}\b', source) for word in words)
