"""Every command and snippet of the documentation is executed, here or by the
test that it names, or says why not."""
import ast
import json
import re
import runpy
import shlex
import subprocess
import sys
import time
from urllib.request import urlopen

import pytest
import torch

from tests.helpers import ROOT
from tests.helpers.doc_blocks import (PAGES, SHELL, commands, inline_commands,
                                      marked_tests, names, options, program,
                                      read_blocks, reasons, runs, same_program,
                                      source_of)
from tests.helpers.processes import QUICK_START, as_user

BLOCKS = [block for page in PAGES for block in read_blocks(page)]
REASONS = {
    start: why
    for page in PAGES
    for start, why in reasons(page).items()
}
PRESET = 'configs/selfsup/caco/caco_resnet50_8xb128-sym-coslr-200e_in1k.py'
# What stands for a file of the reader's. Other such words (SRC.pth.tar,
# CHECKPOINT, FOLDER, ...) are names of files in the clone of the tests. And a
# batch that ends soon.
WORDS = {
    'CONFIG': QUICK_START,
    '/path/to/pictures': 'pictures',
    '--batch 128': '--batch 16 --steps 1'
}


def fill_in(text):
    """Put files of the clone for the words that stand for the reader's."""
    for word, value in WORDS.items():
        text = re.sub(rf'(?<![\w/]){word}(?!\w)', value, text)
    return text


def distinct(blocks):
    """The first block of each text."""
    return list({block.text: block for block in reversed(blocks)}.values())


@pytest.fixture
def in_clone(clone, monkeypatch):
    """Start a command of the clone's tools in this process, which saves the
    seconds that a new one takes to import torch."""
    monkeypatch.chdir(clone)
    monkeypatch.setenv('LOCAL_RANK', '0')  # so that it is taken back

    def start(script, *arguments):
        monkeypatch.setattr(sys, 'argv', [script, *arguments])
        # The folder of the script comes first where Python starts it.
        monkeypatch.syspath_prepend(str((clone / script).parent))
        try:
            return runpy.run_path(script, run_name='__main__')
        except SystemExit as end:
            assert not end.code, end.code

    return start


@pytest.mark.slow
@pytest.mark.parametrize(
    'block',
    distinct([b for b in BLOCKS if b.executed and b.language in SHELL]),
    ids=str)
def test_shell(block, clone, in_clone):
    before = {path: path.stat().st_mtime_ns for path in clone.glob('*')}
    lines = [shlex.split(line) for line in commands(block)]
    if all(words[0] == 'python' and words[1] != '-m' for words in lines):
        for words in lines:
            in_clone(*map(fill_in, words[1:]))
    else:
        as_user(clone, fill_in(block.text))
    for words in lines:
        for option in {'-o', '--out'} & set(words):
            path = clone / words[words.index(option) + 1]
            assert path.stat().st_size > 1000, path
            assert path.stat().st_mtime_ns != before.get(path), path


@pytest.mark.slow
def test_trainer_draws_at_its_end(clone):
    """The run of the clone was made with --report."""
    folder = clone / 'work_dirs/quickstart'
    for name in ('report.html', 'curves.png', 'neighbours.png',
                 'backbone_epoch_15.pth'):
        assert (folder / name).stat().st_size > 10000, name


@pytest.mark.slow
def test_tensorboard_shows_the_run(clone, tmp_path):
    with open(tmp_path / 'said', 'w') as said:
        process = subprocess.Popen([
            sys.executable, '-m', 'tensorboard.main', '--logdir', 'work_dirs',
            '--port', '0', '--load_fast', 'false'
        ],
                                   cwd=clone,
                                   stdout=said,
                                   stderr=said)
    try:
        for _ in range(200):
            time.sleep(0.3)
            text = (tmp_path / 'said').read_text()
            assert process.poll() is None, text
            address = re.search(r'at (http://\S+)', text)
            if address is None:
                continue
            with urlopen(f'{address[1]}data/plugin/scalars/tags') as answer:
                tags = json.load(answer)
            if any(run.startswith('quickstart/') for run in tags):
                break
        else:
            raise AssertionError(text)
    finally:
        process.kill()
        process.wait()
    run, = (run for run in tags if run.startswith('quickstart/'))
    assert {'loss', 'knn/top1'} <= tags[run].keys()


def is_config(block):
    """Whether a snippet is part of a config: it does nothing but assign."""
    return not re.search(r'^(import|from) ', block.text, re.M)


PYTHON = [b for b in BLOCKS if b.executed and b.language == 'python']


@pytest.mark.slow
@pytest.mark.parametrize(
    'block', distinct([b for b in PYTHON if not is_config(b)]), ids=str)
def test_snippet(block, clone, in_clone):
    (clone / 'snippet.py').write_text(block.text)
    found = in_clone('snippet.py')
    # To its end: the last name that it gives is there.
    given = [
        s.targets[0] for s in ast.parse(block.text).body
        if isinstance(s, ast.Assign)
    ]
    for target in given[-1:]:
        names = {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
        assert names <= found.keys()
    for name, value in found.items():
        if isinstance(value, torch.Tensor):
            assert value.isfinite().all(), name


# Run beside a config: what it names is built, and the data is there.
BUILD = '''
from mmengine.config import Config
from mmengine.registry import DATASETS
from mmengine.runner import Runner
cfg = Config.fromfile('mine.py')
cfg.work_dir = 'work_dirs/mine'
Runner.from_cfg(cfg)
for part in (cfg.train_dataloader.dataset,
             cfg.default_hooks.knn.train_dataset if 'knn' in cfg.default_hooks
             else cfg.train_dataloader.dataset):
    assert len(DATASETS.build(part)) > 0
built = True
'''


@pytest.mark.slow
@pytest.mark.parametrize(
    'block', distinct([b for b in PYTHON if is_config(b)]), ids=str)
def test_config(block, clone, in_clone):
    """A config that is, or inherits and has, what the block says."""
    text = fill_in(block.text)
    if '_base_' not in text:
        base = PRESET if 'imagenet' in text else QUICK_START
        text = f'_base_ = {base!r}\n{text}'
    (clone / 'mine.py').write_text(text)
    (clone / 'build.py').write_text(BUILD)
    assert in_clone('build.py')['built']


@pytest.mark.parametrize('block', BLOCKS, ids=str)
def test_block_is_accounted_for(block):
    assert block.language in (*SHELL, 'python'), 'nobody would execute it'
    assert block.executed or block.tests or len(block.reason.split()) > 2
    for command in commands(block) if block.tests else ():
        assert any(runs(test, program(command)) for test in block.tests), \
            f'none of {block.tests} starts {program(command)}'


def test_wrong_comments_are_found():
    with pytest.raises(LookupError, match='no file tests/gone.py'):
        runs('tests/gone.py::test_a', 'tools/train.py')
    with pytest.raises(LookupError, match="has no test 'test_gone'"):
        runs('tests/docs/test_site.py::test_gone', 'tools/train.py')
    notebook = 'tests/docs/test_notebook.py::test_tour'
    assert not runs(notebook, 'tools/model_converters/publish_model.py')


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_commands_in_the_text_are_run_somewhere(page):
    settled = [
        command for block in BLOCKS
        if block.language in SHELL and (block.executed or block.reason)
        for command in commands(block)
    ]
    tests = {test for each in PAGES for test in marked_tests(each)}
    for command in inline_commands(page):
        name, wanted = program(command), options(command)
        assert any(
            same_program(program(other), name) and wanted <= options(other)
            for other in settled) or any(
                runs(test, name) and all(
                    names(source_of(test), option) for option in wanted)
                for test in tests) or any(
                    f'{command} '.startswith(f'{start} ')
                    for start in REASONS), \
            f'nothing that a page names runs {command}'


def test_reasons_are_for_commands_of_the_text():
    there = [command for page in PAGES for command in inline_commands(page)]
    for start, why in REASONS.items():
        assert len(why.split()) > 2, start
        assert any(f'{command} '.startswith(f'{start} ')
                   for command in there), f'no page has {start}'


def test_commands_in_the_text_are_seen(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('`pip install .`, or `A=1 tool x`, not `lr = 1`, `pip`, '
                    '`--flag 3`, `(0, 1)` and `that is ...`; `plot.py\n--all`.'
                    '\n\n<!-- not run (tool x): nobody has it -->\n')
    assert inline_commands(page) == [
        'pip install .', 'A=1 tool x', 'plot.py --all'
    ]
    assert reasons(page) == {'tool x': 'nobody has it'}
    assert same_program('tools/plot.py', program('plot.py --all'))


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_tools_options_and_configs_exist(page):
    """Also those of commands that nobody can run here."""
    shared = ''.join(
        (ROOT / name).read_text()
        for name in ('caco_ext/utils/launch.py',
                     'caco_ext/converters/files.py', 'tools/train.py'))
    found = [
        command for block in read_blocks(page) if block.language in SHELL
        for command in commands(block)
    ]
    for command in found + inline_commands(page):
        for config in re.findall(r'(?<=\s)configs/\S+\.py', command):
            assert (ROOT / config).is_file(), config
        script = program(command)
        if ' ' in script or 'site-packages' in script or \
                not script.endswith(('.py', '.sh')):
            continue
        # TASK stands for each of several folders.
        script = script.replace('TASK', '*')
        tools = list(ROOT.glob(script))
        if '/' not in script:
            tools += (ROOT / 'tools').rglob(script)
        assert tools, command
        # compare_methods.sh hands its options on to compare_methods.py, and
        # TASK/run.sh to TASK/test_TASK.py.
        tools += [
            tool.with_name(name) for tool in tools
            for name in (f'{tool.stem}.py', f'test_{tool.parent.name}.py')
        ]
        text = shared + ''.join(tool.read_text()
                                for tool in tools if tool.is_file())
        for option in re.findall(r'(?<= )--[a-z-]+', command):
            assert f"'{option}'" in text or f'{option})' in text, command
