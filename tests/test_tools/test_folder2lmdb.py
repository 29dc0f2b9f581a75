"""tools/dataset_converters/folder2lmdb.py as a user calls it."""
import os
import os.path as osp
import re

import numpy as np
import pytest
from PIL import Image

from caco_ext.datasets import ImageFolder
from tests.helpers import ROOT
from tests.helpers.processes import run_tool

TOOLS = osp.join(ROOT, 'tools')


@pytest.fixture
def pictures(tmp_path):
    for name in ('a', 'b'):
        (tmp_path / 'pictures' / name).mkdir(parents=True)
        for i in range(4):
            img = np.full((8, 8, 3), 20 * i, np.uint8)
            path = tmp_path / 'pictures' / name / f'{i}.png'
            Image.fromarray(img).save(path)
    return tmp_path / 'pictures'


@pytest.mark.slow
def test_convert_and_measure(pictures, tmp_path):
    target = tmp_path / 'set.lmdb'
    output = run_tool(
        'dataset_converters/folder2lmdb.py', pictures, target, cwd=tmp_path)
    assert '8 pictures, 2 classes, read back and checked' in output
    assert 'copying: 100%' in output and 'checking' in output
    assert len(ImageFolder(str(target))) == 8
    for options in (('--workers', 1, '--cold'), ('--workers', 0, '--raw')):
        lines = run_tool(
            'benchmarks/measure_loading.py',
            pictures,
            target,
            '--repeat',
            2,
            *options,
            cwd=tmp_path).splitlines()
        assert len(lines) == 2
        for line, root in zip(lines, (pictures, target)):
            rates = re.fullmatch(
                rf'{re.escape(str(root))}: 8 pictures, opened in [\d.]+ s, '
                r'(\d+) pictures/s \((\d+) to (\d+)\)', line)
            median, low, high = map(int, rates.groups())
            assert 0 < low <= median <= high


def test_files_are_dropped_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(osp.join(TOOLS, 'benchmarks'))
    import measure_loading
    path = tmp_path / 'file'
    path.write_bytes(os.urandom(1 << 20))

    def cached():
        with open(path, 'rb') as file:
            # RWF_NOWAIT reads from the cache, or not at all
            try:
                return os.preadv(file.fileno(), [bytearray(1 << 20)], 0,
                                 os.RWF_NOWAIT)
            except BlockingIOError:
                return 0
            except OSError:
                pytest.skip('the file system cannot tell what is cached')

    measure_loading.remember([path])
    if cached() < 1 << 20:
        pytest.skip('the file system keeps nothing in the page cache')
    measure_loading.forget([path])
    assert cached() < 1 << 20


@pytest.mark.slow
def test_errors_are_one_line(pictures, tmp_path):
    error = run_tool(
        'dataset_converters/folder2lmdb.py',
        'none',
        'a.lmdb',
        cwd=tmp_path,
        fails=True)
    assert error.startswith('error: the picture folder')
    assert error.count('\n') == 1


@pytest.mark.parametrize('tool, arguments, message', [
    ('benchmarks/measure_loading', ['nope'], "the picture folder 'nope' does"),
    ('benchmarks/speed/bench_pipeline', ['nope.py', '--images', '.'
                                         ], 'no such config: nope.py'),
])
def test_errors_of_measuring_are_one_line(call_tool, tool, arguments, message):
    with pytest.raises(SystemExit, match=message):
        call_tool(tool, *arguments)
