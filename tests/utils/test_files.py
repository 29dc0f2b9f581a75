"""What may be written, and what stays when it cannot be."""
import os

import pytest

from caco_ext.utils import UsageError
from caco_ext.utils.files import check_output, write_whole


@pytest.fixture
def places(tmp_path):
    """A file with everything that can stand in its place."""
    (tmp_path / 'a.pth').write_bytes(b'old')
    (tmp_path / 'link.pth').symlink_to('a.pth')
    os.link(tmp_path / 'a.pth', tmp_path / 'hard.pth')
    (tmp_path / 'loop.pth').symlink_to('loop.pth')
    os.mkfifo(tmp_path / 'pipe.pth')
    (tmp_path / 'null.pth').symlink_to('/dev/null')
    (tmp_path / 'kept.pth').write_bytes(b'old')
    (tmp_path / 'kept.pth').chmod(0o444)
    return tmp_path


@pytest.mark.parametrize('name', ['a.pth', './a.pth', 'link.pth', 'hard.pth'])
def test_the_output_is_no_input(places, monkeypatch, name):
    monkeypatch.chdir(places)
    with pytest.raises(UsageError, match="is the file 'a.pth' itself"):
        check_output(name, 'b.pth', 'a.pth')


@pytest.mark.parametrize('name, problem', [
    ('', 'is a folder'),
    ('pipe.pth', 'is a device or a pipe'),
    ('null.pth', 'is a device or a pipe'),
    ('loop.pth', 'is a link to itself'),
    ('kept.pth', 'is read-only'),
    ('a.pth/b.pth', 'is no folder'),
])
def test_what_cannot_be_written(places, name, problem):
    before = sorted(os.listdir(places))
    path = str(places / name)
    with pytest.raises(UsageError, match=problem):
        check_output(path)
    with pytest.raises(OSError, match=problem):
        write_whole(path, b'new')
    assert sorted(os.listdir(places)) == before
    assert (places / 'a.pth').read_bytes() == b'old'


def test_a_failed_writer_leaves_what_was_there(places):
    path = places / 'a.pth'

    def fail(part):
        with open(part, 'w') as file:
            file.write('half')
        raise KeyError('x')

    with pytest.raises(KeyError):
        write_whole(str(path), fail)
    assert path.read_bytes() == b'old'
    assert not list(places.glob('.*'))
    path = places / 'new' / 'b.pth'
    check_output(str(path), str(places / 'a.pth'))
    write_whole(str(path), 'whole')
    assert path.read_text() == 'whole'
