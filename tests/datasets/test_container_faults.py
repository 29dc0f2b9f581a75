"""Faults of shards: a message of one line, the file, the way out."""
import os
import resource
import shutil
import time
import zipfile

import fsspec
import pyarrow as pa
import pytest
from pyarrow import parquet

from caco_ext.datasets import ImageFolder
from caco_ext.datasets.containers import arrow_files
from tests.helpers.tiny_runs import in_child
from .test_containers import (LOAD, greys, labels, picture, samples,
                              write_parquet, write_tar)

pytestmark = pytest.mark.usefixtures('cache')


def refused(root, error, message, **options):
    """What a root is refused with: one line that names a file."""
    with pytest.raises(error, match=message) as caught:
        ImageFolder(str(root), **options)
    text = str(caught.value)
    assert '\n' not in text and os.path.dirname(root) in text


def test_faults_of_labels_do_not_matter_without_them(tmp_path):
    """As the messages promise."""
    tars, rows = f'{tmp_path}/t-*.tar', f'{tmp_path}/p-*.parquet'
    write_tar(tmp_path / 't-0.tar', samples(range(3)))
    write_tar(tmp_path / 't-1.tar', samples(range(3, 6), lambda i: None))
    write_parquet(tmp_path / 'p-0.parquet', [picture(1)], [0], ['a', 'b'])
    write_parquet(tmp_path / 'p-1.parquet', [picture(2)], [0], ['b', 'a'])
    for root, kinds in ((tars, "t-0.tar': cls.*t-1.tar': none"),
                        (rows, r'classes a, b.*classes b, a')):
        refused(root, ValueError, f'{kinds}.*set with_labels=False')
        data = ImageFolder(root, with_labels=False)
        assert labels(data) == [-1] * len(data)
        assert len(ImageFolder(root, split='all')) == len(data) > 1


def test_what_is_no_label(tmp_path):
    """Nothing, -1 and several classes."""
    for i, text in enumerate((b'', b'-1', b'null', b'[1, 2]')):
        field = 'json' if i > 1 else 'cls'
        data = b'{"label": %s}' % text if i > 1 else text
        path = write_tar(tmp_path / f'{i}.tar',
                         samples(range(2), lambda _: (field, data)))
        assert labels(ImageFolder(path)) == [-1, -1]
    path = write_parquet(tmp_path / 'a.parquet', [picture(1)] * 2, [[0], [1]])
    assert labels(ImageFolder(path)) == [-1, -1]


def test_a_picture_twice(tmp_path):
    one = write_tar(tmp_path / 'a-0.tar', samples(range(3)))
    shutil.copy(one, tmp_path / 'a-1.tar')
    refused(
        f'{tmp_path}/a-*.tar', ValueError,
        "a-1.tar/0000.png' is the picture '.*a-0.tar/0000.png' again; "
        'take one of the two shards away')
    # shards that count their samples anew have other pictures
    write_tar(tmp_path / 'a-1.tar',
              [(f'000{i}.png', picture(10 + i)) for i in range(3)])
    data = ImageFolder(f'{tmp_path}/a-*.tar', pipeline=LOAD, with_labels=False)
    assert greys(data) == [0, 1, 2, 10, 11, 12]
    path = write_tar(tmp_path / 'b.tar', [('./1.png', picture(1)),
                                          ('1.png', picture(2))])
    refused(path, ValueError, "'1.png' twice")


@pytest.mark.parametrize('name, content, message', [
    ('classes.json', '{', 'no JSON file'),
    ('a-classes.json', '{"x": 0, "y": 1, "z": 2}', 'no JSON list of names'),
    ('classes.txt', 'x\ny\n', 'has 2 names, and .* the label 2'),
    ('classnames.txt', b'\xe9\nb\nc\n', 'not a UTF-8 text file'),
])
def test_lists_of_classes_beside_shards(tmp_path, name, content, message):
    path = write_tar(tmp_path / 'a-0.tar', samples(range(3)))
    content = content if isinstance(content, bytes) else content.encode()
    (tmp_path / name).write_bytes(content)
    refused(path, ValueError, f'{name}.*{message}.*correct it or take it away')
    (tmp_path / name).write_text(
        '["x", "y", "z"]' if name.endswith('json') else 'x\ny\nz\n\n')
    assert ImageFolder(path).metainfo['classes'] == ('x', 'y', 'z')


def test_names_of_files(tmp_path):
    (tmp_path / 'a-0.tar.gz').write_bytes(b'\x1f\x8b')
    refused(tmp_path / 'a-0.tar.gz', ValueError, 'packed.*unpack it')
    refused(tmp_path / 'a-{2..0}.tar', FileNotFoundError,
            'names no file: write the lower number')
    write_tar(tmp_path / 'a-0.tar', samples(range(3)))
    refused(
        tmp_path / 'a-0.tar',
        ValueError,
        "split='dev' is no part of",
        split='dev')


@pytest.mark.parametrize('values, names, message', [
    ([0, 5], ['a', 'b'], r'label 5 and names for 2 classes only \(a, b\)'),
    (['a', 'z'], ['a', 'b'], "label 'z' and names for 2"),
])
def test_labels_without_a_name(tmp_path, values, names, message):
    path = tmp_path / 'a.parquet'
    write_parquet(path, [picture(1), picture(2)], values, names)
    refused(path, ValueError, message)
    assert labels(ImageFolder(str(path), with_labels=False)) == [-1, -1]


def test_labels_in_words(tmp_path):
    path = write_parquet(tmp_path / 'a-0.parquet', [picture(1)] * 2,
                         ['b', 'a'], ['a', 'b'])
    assert labels(ImageFolder(path)) == [1, 0]
    write_parquet(tmp_path / 'a-1.parquet', [picture(1)], [0], ['a', 'b'])
    refused(f'{tmp_path}/a-*.parquet', ValueError,
            r'different columns.*label \(string\).*label \(numbers\)')


@pytest.mark.parametrize('about', ['{', '[]', '{"info": 3}'])
def test_metadata(tmp_path, about):
    path = tmp_path / 'a.parquet'
    table = pa.table(dict(image=[picture(1)], label=[0]))
    parquet.write_table(
        table.replace_schema_metadata(dict(huggingface=about)), path)
    refused(path, ValueError, "metadata 'huggingface'.*make the file again")


def test_rows_without_pictures(tmp_path):
    path = tmp_path / 'a.parquet'
    write_parquet(path, [None] * 2)
    refused(path, ValueError, 'holds no pictures: all its rows are empty')
    rows = [dict(bytes=None, path=f'p/{i}.png') for i in range(2)]
    kind = pa.struct([('bytes', pa.binary()), ('path', pa.string())])
    parquet.write_table(pa.table(dict(image=pa.array(rows, kind))), path)
    refused(path, FileNotFoundError,
            "only names of pictures, and there is no file '.*/p/0.png'")
    (tmp_path / 'p').mkdir()
    for i in range(2):
        (tmp_path / f'p/{i}.png').write_bytes(picture(i))
    assert greys(ImageFolder(str(path), pipeline=LOAD)) == [0, 1]


def test_a_changed_byte(tmp_path, cache):
    """Found where the file has checksums, as those of pack.py have."""
    path = tmp_path / 'a.parquet'
    parquet.write_table(
        pa.table(dict(image=[picture(i) for i in range(9)])),
        path,
        compression='none',
        write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    refused(path, ValueError, 'no whole Parquet file.*copy it again')
    assert not list(cache.glob('shards/*.arrow'))


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('CACO_EXT_CACHE', str(tmp_path / 'file'))
    rows = write_parquet(tmp_path / 'a.parquet', [picture(1)])
    refused(rows, OSError, 'cannot be copied to .*set CACO_EXT_CACHE')
    # an index is made at each start
    (tmp_path / 'set').mkdir()
    path = write_tar(tmp_path / 'set/a.tar', samples(range(3)))
    (tmp_path / 'set').chmod(0o555)
    assert len(ImageFolder(path)) == 3
    assert os.listdir(tmp_path / 'set') == ['a.tar']


def test_a_full_disk(tmp_path, cache):
    rows = write_parquet(tmp_path / 'a.parquet', [os.urandom(50_000)] * 3)

    def run():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, ) * 2)
        refused(rows, OSError, '(too large|No space).*free some space there')

    assert in_child(run) == 0
    assert {p.name.rpartition('.')[2]
            for p in cache.glob('shards/*')} == {'lock'}


def test_several_processes_make_one_copy(tmp_path, monkeypatch):
    rows = write_parquet(tmp_path / 'a.parquet',
                         [picture(i) for i in range(3)])
    copy = arrow_files._copy

    def slow(*arguments):
        with open(tmp_path / 'made', 'a') as file:
            file.write('x')
        time.sleep(0.2)
        copy(*arguments)

    monkeypatch.setattr(arrow_files, '_copy', slow)
    children = []
    for _ in range(3):
        children.append(os.fork())
        if not children[-1]:
            good = greys(ImageFolder(rows, pipeline=LOAD)) == [0, 1, 2]
            os._exit(not good)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
    assert (tmp_path / 'made').read_text() == 'x'


def test_addresses(tmp_path, monkeypatch):
    """A storage that fails ends the run; its pictures are not replaced."""
    for i in range(2):
        write_tar(tmp_path / f'a-{i}.tar', samples(range(3 * i, 3 * i + 3)))
    root = f'file://{tmp_path}/a-{{0..1}}.tar'
    data = ImageFolder(root, pipeline=LOAD)
    assert greys(data) == list(range(6))
    (tmp_path / 'a-1.tar').unlink()
    gone = f"'file://{tmp_path}/a-1.tar' cannot be read .*copy the shards"
    with pytest.raises(OSError, match=gone):
        data[4]
    refused(root, OSError, gone)
    refused(f'file://{tmp_path}/a-*.tar', FileNotFoundError,
            'write the numbers of an address as')
    refused(f'file://{tmp_path}/a.parquet', ValueError, 'no tar shards')
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        archive.write(tmp_path / 'a-0.tar', 'a-0.tar')
    inner = ImageFolder(f'zip://a-0.tar::{tmp_path}/a.zip', pipeline=LOAD)
    assert greys(inner) == [0, 1, 2]
    # a server that sends the whole file, as Python's own does
    memory = fsspec.filesystem('memory')
    memory.pipe('/faults/a-0.tar', (tmp_path / 'a-0.tar').read_bytes())
    monkeypatch.setattr(
        type(memory), 'cat_file', lambda self, path, **_: bytes(10_000))
    refused('memory://faults/a-0.tar', OSError, 'does not support ranges')
