# Copyright (c) caco_ext authors. All rights reserved.
"""Damaged files and bad numbers are noticed at every door, in one line."""
import os
import os.path as osp
import runpy
import zipfile

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader

import caco_ext
from caco_ext.converters import (CheckpointError, convert, extract_backbone,
                                 read_checkpoint, to_official)
from caco_ext.converters.backbones import read_backbone
from caco_ext.converters.files import weights_of
from caco_ext.converters.inspection import inspect
from caco_ext.transfer import load_pretrained
from caco_ext.utils import UsageError, describe_differences
from caco_ext.utils.files import damage_of, is_whole
from caco_ext.visualization.loading import config_of
from tests.helpers.other_checkpoints import BARE, behind

TEST = runpy.run_path(osp.join(osp.dirname(__file__),
                               '../../tools/test.py'))['read_weights']


class Model(torch.nn.Module):
    """A model with the backbone of the files."""

    def __init__(self, **more):
        super().__init__()
        self.backbone = MODELS.build(
            dict(
                type='mmcls.ResNet',
                depth=18,
                base_channels=8,
                stem_channels=8,
                **more))


def init_weights(path):
    model = Model(
        init_cfg=dict(type='Pretrained', checkpoint=path, prefix='backbone.'))
    model.backbone.init_weights()


# Whatever reads a file to use its weights.
DOORS = {
    'load_from and --resume FILE': CheckpointLoader.load_checkpoint,
    'init_cfg': init_weights,
    'test.py': TEST,
    'transfer': lambda path: load_pretrained(Model(), path),
    'get_model': caco_ext.get_model,
    'convert': lambda path: convert(path, 'backbone'),
    'extract': lambda path: extract_backbone(path, path + '.out'),
    'export': read_backbone,
}
# Those that tell about a file only.
READERS = {'inspect': inspect, 'visualization': config_of}


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / 'a.pth')


def checkpoint(**change):
    state = behind('backbone.', BARE)
    state.update({f'backbone.{k}': v for k, v in change.items()})
    return dict(state_dict=state, meta=dict(epoch=1))


def assert_refused(door, path, *parts):
    with pytest.raises(UsageError) as caught:
        door(path)
    message = str(caught.value)
    assert '\n' not in message
    for part in (path, *parts):
        assert part in message, message
    assert not osp.exists(path + '.out')


def test_one_flipped_bit_is_seen_at_every_door(path):
    torch.save(checkpoint(), path)
    for door in DOORS.values():
        door(path)
    os.unlink(path + '.out')
    with open(path, 'r+b') as file:
        data = file.read()
        place = data.index(BARE['layer1.0.conv1.weight'].numpy().tobytes())
        file.seek(place + 2)
        file.write(bytes([data[place + 2] ^ 1]))
    for door in (*DOORS.values(), *READERS.values()):
        assert_refused(door, path, 'damaged', 'does not have its sum')


def sparse(value):
    return value.flatten(1).to_sparse()


@pytest.mark.parametrize('change, kind', [
    (lambda v: torch.full_like(v, torch.nan), 'holds NaN'),
    (lambda v: v / 0, 'holds infinite values'),
    (lambda v: -v.abs() / 0, 'holds'),
    (lambda v: v.to(torch.complex64), 'is complex (complex64)'),
    (lambda v: v.long(), 'is of integers (int64)'),
    (lambda v: v[:0], 'is of size zero, [0, 8, 3, 3]'),
    (sparse, 'is a sparse tensor'),
    (lambda v: torch.quantize_per_tensor(v, .1, 0, torch.qint8),
     'is quantized (qint8)'),
    (lambda v: v[:1, :1, :1, :1].clone().expand(2000, 8, 3, 3),
     'is [2000, 8, 3, 3], more than the 4 bytes stored'),
    (lambda v: v.to(torch.float8_e4m3fn),
     'is of an unusual type (float8_e4m3fn)'),
])
def test_bad_numbers_are_refused_at_every_door(path, change, kind):
    name = 'layer1.0.conv1.weight'
    torch.save(checkpoint(**{name: change(BARE[name])}), path)
    for door in DOORS.values():
        assert_refused(door, path, f"'backbone.{name}' {kind}")
    assert any(kind in line for line in inspect(path))


def test_a_model_compares_shapes_and_kinds():
    own = {'memory.columns': torch.ones(4, 8), 'mask': torch.ones(2) / 0}
    assert not describe_differences(own, own)
    for value, what in ((torch.ones(3, 8), 'of another shape'), (torch.full(
        (4, 8), torch.nan), 'not finite'), (torch.ones(4, 8).int(),
                                            'not finite, or no floats'),
                        (7, 'of another shape')):
        text = describe_differences(own, dict(own, **{'memory.columns':
                                                      value}))
        assert f'of 2 keys 1 {what}' in text and 'memory.columns' in text


def test_a_bomb_is_refused_before_it_is_read(path):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file:
        file.writestr('archive/data.pkl', b'\x80\x02}.')
        file.writestr('archive/data/0', bytes(64 << 20))
    assert osp.getsize(path) < 1 << 20
    for door in (*DOORS.values(), *READERS.values()):
        assert_refused(door, path, 'parts would take 0.06 GiB')


def test_a_file_without_sums_is_read(path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(checkpoint(), path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert is_whole(path)
    assert len(read_checkpoint(path)['state_dict']) == 120


def test_every_damaged_byte_ends_in_one_line(path):
    """Of the directory, whose fields have no sum of their own."""
    torch.save(dict(state_dict={'backbone.x': torch.ones(2)}), path)
    with open(path, 'rb') as file:
        data = file.read()
    start = data.index(b'PK\x01\x02')
    for place in range(start, len(data), 7):
        with open(path, 'wb') as file:
            file.write(data[:place] + bytes([data[place] ^ 0x55]) +
                       data[place + 1:])
        assert isinstance(damage_of(path), str)
        try:
            read_checkpoint(path)
        except CheckpointError as error:
            assert '\n' not in str(error)


state = checkpoint()['state_dict']
ODD = {
    'meta is a list':
    dict(state_dict=state, meta=[1]),
    'meta is bytes':
    dict(state_dict=state, meta=b'x'),
    'method is a list':
    dict(state_dict=state, meta=dict(method=[1], part=2)),
    'original is a number':
    dict(
        state_dict={
            **state, 'key_encoder._extra_state': torch.tensor(True)
        },
        meta=dict(original=5, kind='linear probe')),
    'integer keys':
    dict(state_dict={
        1: torch.ones(1),
        **state
    }),
    'only integer keys': {
        1: torch.ones(1)
    },
    'nested':
    dict(state_dict=dict(state_dict=state)),
    'weights are a number':
    dict(state_dict=5, meta=None),
    'no tensor':
    dict(state_dict={
        **state, 'backbone.x': 'y'
    }),
    'a tensor':
    torch.ones(2),
    'a list': [1, 2],
    'empty': {},
    'bank is a tensor':
    dict(state_dict=state, Memory_Bank=torch.ones(2)),
    'groups are numbers':
    dict(state_dict=behind('', BARE), optimizer=dict(param_groups=5)),
    'queue alone':
    dict(
        state_dict={
            'encoder_q.x': torch.ones(1),
            'queue': torch.ones(1)
        },
        best_acc=[1],
        epoch='x'),
}
ODD['it holds itself'] = dict(state_dict=state)
ODD['it holds itself']['more'] = ODD['it holds itself']


@pytest.mark.parametrize('name', ODD)
def test_odd_content_ends_in_one_line(name, path):
    torch.save(ODD[name], path)
    doors = {**DOORS, **READERS}
    doors.pop('init_cfg')  # mmengine asserts that the prefix is there
    for door in (*doors.values(), convert,
                 lambda path: to_official(read_checkpoint(path), path)):
        try:
            door(path)
        except (UsageError, ValueError) as error:
            assert str(error) and '\n' not in str(error)


@pytest.mark.parametrize('meta, message', [
    ('[1]', 'its meta is a list'),
    ('7', 'its meta is a int'),
    ('{', 'metadata are not JSON'),
    ('[' * 100000, 'metadata are not JSON'),
])
def test_odd_metadata_of_safetensors(tmp_path, meta, message):
    from safetensors.torch import save_file
    path = str(tmp_path / 'a.safetensors')
    save_file({'backbone.x': torch.ones(1)}, path, dict(meta=meta))
    with pytest.raises(CheckpointError, match=message):
        weights_of(read_checkpoint(path), path)
    with open(path, 'rb') as file:
        data = file.read()
    for broken in (b'12345678{}', data[:-1], data[:20], b'\xff' * 8 + data[8:],
                   data[:8] + b'[' + data[9:]):
        with open(path, 'wb') as file:
            file.write(broken)
        with pytest.raises(CheckpointError, match='safetensors file') as error:
            read_checkpoint(path)
        assert '\n' not in str(error.value)


@pytest.mark.parametrize('name, problem', [
    ('https://example.org/a.pth', 'is an address'),
    ('', 'is a folder'),
    ('gone.pth', 'does not exist'),
])
def test_what_is_no_file(tmp_path, name, problem):
    path = name if '://' in name else str(tmp_path / name)
    for read in (read_checkpoint, inspect, convert):
        with pytest.raises(FileNotFoundError, match=f'it {problem}'):
            read(path)
