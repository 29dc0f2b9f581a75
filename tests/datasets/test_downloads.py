"""Downloads of torchvision's data sets that fail half-way."""
import hashlib
import io
import os
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from torchvision import datasets as tv

from caco_ext.datasets import TorchvisionDataset
from .test_containers import picture

CLASSES = tuple(tv.Imagenette._WNID_TO_CLASS)[:2]


@pytest.fixture(scope='module')
def archive():
    """bytes: imagenette2.tgz with two pictures in each part."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w:gz') as file:
        for part in ('train', 'val'):
            for name in CLASSES:
                data = picture(7, (64, 64)) + os.urandom(5000)
                info = tarfile.TarInfo(f'imagenette2/{part}/{name}/1.JPEG')
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture
def server(archive, monkeypatch):
    """Sends ``server.content`` and says that it has the archive's length."""

    class Handler(BaseHTTPRequestHandler):

        def do_GET(self):
            self.send_response(200)
            self.send_header('Content-Length', str(len(archive)))
            self.end_headers()
            self.wfile.write(here.content)

        def log_message(self, *args):
            """Quiet."""

    here = HTTPServer(('127.0.0.1', 0), Handler)
    here.content = archive
    thread = threading.Thread(target=here.serve_forever, args=(0.01, ))
    thread.start()

    def expect(content):
        url = f'http://127.0.0.1:{here.server_port}/imagenette2.tgz'
        md5 = hashlib.md5(content).hexdigest()
        monkeypatch.setattr(tv.Imagenette, '_ARCHIVES', dict(full=(url, md5)))

    here.expect = expect
    expect(archive)
    yield here
    here.shutdown()
    thread.join()
    here.server_close()


def open_set(root, download=True):
    return TorchvisionDataset('Imagenette', str(root), download=download)


@pytest.mark.parametrize('fault', ['closes early', 'wrong sum', 'cut off'])
def test_a_failed_download_leaves_nothing(tmp_path, server, archive, fault):
    """Nor does the next start take half a data set for a whole one."""
    server.content = archive[:len(archive) // 2]
    if fault == 'wrong sum':
        server.content = bytes(len(archive))
    if fault == 'cut off':  # an archive that is published so
        server.expect(server.content)
    with pytest.raises(
            FileNotFoundError,
            match='only a part of it .*start again where there is a network, '
            'or put there: http.*imagenette2.tgz') as error:
        open_set(tmp_path)
    assert '\n' not in str(error.value) and repr(str(tmp_path)) in str(
        error.value)
    assert os.listdir(tmp_path) == ['.Imagenette.lock']
    with pytest.raises(FileNotFoundError, match='set download=True'):
        open_set(tmp_path, download=False)
    server.content = archive
    server.expect(archive)
    assert len(open_set(tmp_path)) == 2
    assert sorted(os.listdir(tmp_path)) == [
        '.Imagenette.lock', 'imagenette2', 'imagenette2.tgz'
    ]


def test_after_a_kill(tmp_path, server):
    """What it had unpacked is no part of the data set."""
    half = tmp_path / '.Imagenette.part/imagenette2/train' / CLASSES[0]
    half.mkdir(parents=True)
    assert len(open_set(tmp_path)) == 2
    assert not half.exists()


def test_without_a_network(tmp_path, server, archive):
    """An archive that a person has put there is unpacked, and stays; a data
    set that is there is read where nothing can be written."""
    server.content = b''
    (tmp_path / 'imagenette2.tgz').write_bytes(archive)
    assert len(open_set(tmp_path)) == 2
    assert (tmp_path / 'imagenette2.tgz').read_bytes() == archive
    (tmp_path / '.Imagenette.lock').unlink()
    assert len(open_set(tmp_path)) == 2
    assert sorted(os.listdir(tmp_path)) == ['imagenette2', 'imagenette2.tgz']
