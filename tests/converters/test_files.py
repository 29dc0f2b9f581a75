# Copyright (c) caco_ext authors. All rights reserved.
"""Damaged and malicious files, and what is written."""
import os
import os.path as osp
import pickle

import pytest
import torch

from caco_ext.converters import (CheckpointError, convert, read_checkpoint,
                                 write_checkpoint)
from caco_ext.utils import UsageError
from tests.helpers import original_checkpoints as originals


class _Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path, )


def test_nothing_is_executed(tmp_path):
    trap = tmp_path / 'executed'
    path = str(tmp_path / 'a.pth.tar')
    content = originals.small(path, 'adco')
    content['evil'] = _Evil(trap)
    torch.save(content, path)
    with pytest.raises(CheckpointError, match='mkdir.*--trust'):
        convert(path)
    raw = tmp_path / 'raw.pth.tar'
    raw.write_bytes(pickle.dumps(dict(state_dict=_Evil(trap)), 2))
    with pytest.raises(CheckpointError, match='a pickle of .* bytes'):
        convert(str(raw))
    assert not trap.exists()
    # a user who knows what he does
    result, _ = convert(path, 'backbone', trust=True)
    assert trap.exists() and len(result['state_dict']) == 318


def test_damaged(tmp_path):
    path = tmp_path / 'a.pth.tar'
    originals.small(str(path), 'clsa')
    whole = path.read_bytes()
    for name, content, message in (
        ('empty', b'', r'is empty \(0 bytes\)'),
        ('half', whole[:len(whole) // 2], 'truncated'),
        ('page', b'<html>404</html>', 'a page of the web'),
        ('lfs', b'version https://git-lfs.github.com/spec/v1\n', 'Git LFS'),
        ('flipped', whole[:200] + b'\0' * 4000 + whole[4200:], 'readable'),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            convert(str(file))


def test_what_is_written(tmp_path):
    """Only tensors and plain data, whole or not at all."""
    target = str(tmp_path / 'new' / 'b.pth')
    with pytest.raises(CheckpointError, match=r'checkpoint.meta.x is a set'):
        write_checkpoint(dict(state_dict={}, meta=dict(x={1})), target)
    assert not osp.exists(target)
    large = torch.arange(1000.)
    write_checkpoint(
        dict(state_dict=dict(a=large[:2]), meta=dict(epoch=1)), target)
    assert os.listdir(osp.dirname(target)) == ['b.pth']
    assert osp.getsize(target) < 3000  # the view alone
    assert oct(os.stat(target).st_mode & 0o444) == oct(0o444)

    # what stood there before stays when writing fails
    class Breaks(str):
        """Not plain, so it is refused late: in a nested value."""

    with pytest.raises(CheckpointError, match='Breaks'):
        write_checkpoint(dict(state_dict={}, meta=[Breaks('x')]), target)
    assert read_checkpoint(target)['meta'] == dict(epoch=1)
    with pytest.raises(UsageError, match='is a folder'):
        write_checkpoint(dict(state_dict={}), str(tmp_path))


def test_result_tells_where_it_is_from(tmp_path):
    path = str(tmp_path / 'a.pth.tar')
    originals.small(path, 'caco')
    result, _ = convert(path, 'backbone')
    for name in ('b.pth', 'b.safetensors'):
        target = str(tmp_path / name)
        write_checkpoint(result, target)
        read = torch.load(
            target,
            weights_only=True) if name == 'b.pth' else read_checkpoint(target)
        meta = read['meta']
        assert meta['source'] == 'a.pth.tar' and meta['method'] == 'caco'
        assert len(meta['source_sha256']) == 64 and meta['epoch'] == 200
        assert {'caco_ext_version', 'torch_version'} <= set(meta)
        assert set(read['state_dict']) == set(result['state_dict'])
        for key, value in result['state_dict'].items():
            assert torch.equal(read['state_dict'][key], value)
            assert read['state_dict'][key].dtype == value.dtype
