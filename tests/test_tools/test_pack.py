"""tools/dataset_converters/pack.py as a user calls it."""
import os
import os.path as osp
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from caco_ext.datasets import ImageFolder
from caco_ext.datasets.packing import PackSource
from caco_ext.utils import UsageError
from tests.datasets.test_containers import write_parquet
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
        'dataset_converters/pack.py', pictures, target, cwd=tmp_path)
    assert 'all: 8 pictures, 2 classes, read back and compared' in output
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


def contents(root, split=''):
    """Class, last name and pixels of each picture."""
    data = ImageFolder(
        str(root), split=split, pipeline=[dict(type='LoadImage')])
    names = data.metainfo['classes']
    return sorted(
        (names[one['gt_label']],
         osp.splitext(osp.basename(one['img_path']))[0], one['img'].tobytes())
        for one in (data[i] for i in range(len(data))))


@pytest.fixture
def parts(pictures):
    root = pictures.parent / 'a set'
    for part in ('train', 'val'):
        shutil.copytree(pictures, root / part)
    # a name that another picture has
    os.rename(root / 'val/a/3.png', root / 'val/a/7.png')
    return root


@pytest.mark.slow
def test_round_trip(parts, tmp_path, call_tool, monkeypatch, capsys):
    """Folder, tar, Parquet, LMDB, folder: the same pictures and classes."""
    monkeypatch.setenv('CACO_EXT_CACHE', str(tmp_path / 'cache'))
    source = parts
    for kind in ('tar', 'parquet', 'lmdb', 'folder'):
        call_tool('dataset_converters/pack', source, tmp_path / kind, '--to',
                  kind, '--per-shard', 3, '--quiet')
        assert capsys.readouterr().out.count('8 pictures, 2 classes') == 2
        source = tmp_path / kind
        for split in ('train', 'val'):
            found, wanted = contents(source, split), contents(parts, split)
            assert [(one[0], one[2]) for one in found] == [(one[0], one[2])
                                                           for one in wanted]
    tars = [
        name for name in os.listdir(tmp_path / 'tar') if name.endswith('.tar')
    ]
    assert len(tars) == 6  # of three pictures at most
    files = {str(path.relative_to(source)) for path in source.rglob('*.png')}
    assert len(files) == 16 and {f.split(os.sep)[1]
                                 for f in files} == {'a', 'b'}


@pytest.mark.parametrize('kind', ['tar', 'parquet', 'folder'])
def test_interrupted_and_resumed(pictures, tmp_path, call_tool, monkeypatch,
                                 kind):
    read, calls = PackSource.read, []

    def fail(source, index):
        calls.append(index)
        if index == 5 and not fail.mended:
            raise KeyboardInterrupt
        return read(source, index)

    fail.mended = False
    monkeypatch.setattr(PackSource, 'read', fail)
    target = tmp_path / 'packed'
    arguments = (pictures, target, '--to', kind, '--per-shard', 2, '--quiet')
    with pytest.raises((SystemExit, KeyboardInterrupt)):
        call_tool('dataset_converters/pack', *arguments)
    if kind != 'folder':
        assert len([n for n in os.listdir(target) if n[0] != '.']) == 2
    fail.mended, calls[:] = True, []
    call_tool('dataset_converters/pack', *arguments)
    assert sorted(calls) == [4, 5, 6, 7]
    assert contents(target) == contents(pictures) if kind == 'folder' else (
        len(contents(target)) == 8)
    # done: nothing is read again, and nothing else may be written there
    calls[:] = []
    call_tool('dataset_converters/pack', *arguments)
    assert not calls
    with pytest.raises(SystemExit, match='other options'):
        call_tool('dataset_converters/pack', *arguments, '--short-side', 4)
    os.utime(pictures / 'a/0.png', (1, 1))
    with pytest.raises(SystemExit, match='is complete, but pictures of'):
        call_tool('dataset_converters/pack', *arguments)


def test_short_side(tmp_path, call_tool):
    (tmp_path / 'large').mkdir()
    ramp = np.linspace(0, 255, 60).astype(np.uint8)
    for name, size in (('wide', (30, 60)), ('small', (8, 12))):
        img = np.broadcast_to(ramp[:size[1]], size)
        Image.fromarray(np.repeat(img[..., None], 3,
                                  2)).save(tmp_path / f'large/{name}.png')
    (tmp_path / 'large/broken.jpg').write_bytes(b'no picture')
    call_tool('dataset_converters/pack', tmp_path / 'large', tmp_path / 'set',
              '--to', 'folder', '--short-side', 10, '--quality', 95, '--quiet')
    with Image.open(tmp_path / 'set/wide.jpg') as wide:
        assert wide.size == (20, 10)
        means = ramp.reshape(20, 3).mean(1)
        assert np.abs(np.asarray(wide)[5, :, 0] - means).max() < 8
    for name in ('small.png', 'broken.jpg'):
        assert (tmp_path / 'set' / name).read_bytes() == (tmp_path / 'large' /
                                                          name).read_bytes()


@pytest.mark.parametrize('kind', ['tar', 'parquet', 'lmdb', 'folder'])
def test_any_file_and_name(tmp_path, call_tool, monkeypatch, kind):
    """Byte by byte, whatever the format; names that a tar file would join."""
    monkeypatch.setenv('CACO_EXT_CACHE', str(tmp_path / 'cache'))
    source = tmp_path / 'Bilder ä'
    (source / '猫').mkdir(parents=True)
    wanted = []
    for name in ('a.b.webp', 'a_b.png', 'a b.gif'):
        Image.new('RGB', (5, 4)).save(source / '猫' / name)
        wanted.append((source / '猫' / name).read_bytes())
    wide = np.full((4, 4), 40000, np.uint16)
    Image.fromarray(wide).save(source / '猫/16.png')
    wanted.append((source / '猫/16.png').read_bytes())
    call_tool('dataset_converters/pack', source, tmp_path / 'set', '--to',
              kind, '--quiet')
    packed = PackSource(str(tmp_path / 'set'))
    assert packed.classes == ['猫'] and packed.labels == [0] * 4
    assert sorted(map(packed.read, range(4))) == sorted(wanted)


def test_classes_that_are_no_folders(tmp_path, call_tool, monkeypatch):
    monkeypatch.setenv('CACO_EXT_CACHE', str(tmp_path / 'cache'))
    for names in (['x/y', 'x_y'], ['.x', 'y']):
        write_parquet(tmp_path / 'a.parquet', [b'1', b'2'], [0, 1], names)
        with pytest.raises(SystemExit, match='cannot be a folder of its own'):
            call_tool('dataset_converters/pack', tmp_path / 'a.parquet',
                      tmp_path / 'set', '--to', 'folder', '--quiet')
        assert not (tmp_path / 'set').exists()


@pytest.mark.parametrize('arguments, message', [
    (['none', 'a.lmdb'], 'the picture folder'),
    (['parts', 'a.lmdb'], 'has the parts train, val.*can hold one'),
    (['pictures', 'a.lmdb', '--to', 'tar'], 'ends in .lmdb; name a folder'),
    (['pictures', 'a', '--short-side', '0'], 'short_side=0 must be 1'),
    (['pictures', 'a', '--quality', '0'], 'quality=0 must lie between'),
    (['pictures', 'parts', '--to', 'folder'], 'not made here'),
    (['pictures', 'pictures', '--to', 'folder'], 'lies in the source'),
    (['pictures', 'pictures/b/new', '--to', 'tar'], 'lies in the source'),
    (['pictures', 'a', '--per-shard', '0'], 'per_shard=0 must be 1'),
    (['pictures', 'fixed', '--to', 'tar'], "'.*fixed' is read-only"),
    (['pictures', 'fixed/a.lmdb'], "'.*fixed' is read-only"),
])
def test_errors_are_one_line(pictures, parts, call_tool, arguments, message):
    shutil.move(parts, pictures.parent / 'parts')
    (pictures.parent / 'fixed').mkdir(mode=0o555)
    paths = [pictures.parent / name for name in arguments[:2]]
    with pytest.raises(SystemExit, match=message) as error:
        call_tool('dataset_converters/pack', *paths, *arguments[2:], '--quiet')
    assert '\n' not in str(error.value)
    # those are the errors of which no stack is printed
    assert isinstance(error.value.__context__, (UsageError, OSError))
    assert len(contents(pictures)) == 8
    assert not os.listdir(pictures.parent / 'fixed')


@pytest.mark.parametrize('tool, arguments, message', [
    ('benchmarks/measure_loading', ['nope'], "the picture folder 'nope' does"),
    ('benchmarks/speed/bench_pipeline', ['nope.py', '--images', '.'
                                         ], 'no such config: nope.py'),
])
def test_errors_of_measuring_are_one_line(call_tool, tool, arguments, message):
    with pytest.raises(SystemExit, match=message):
        call_tool(tool, *arguments)
