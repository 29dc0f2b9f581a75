# Copyright (c) caco_ext authors. All rights reserved.
"""Files of other programs: what they are called and what is made of them."""
import pickle
from argparse import Namespace

import numpy as np
import pytest
import torch

from caco_ext.converters import (CheckpointError, convert, extract_backbone,
                                 identify, read_checkpoint, write_checkpoint)
from caco_ext.converters.backbones import find_backbone, read_backbone
from caco_ext.converters.exports import export, publish
from caco_ext.converters.inspection import inspect
from caco_ext.converters.programs import survey
from caco_ext.converters.resnet import to_detectron2
from caco_ext.transfer import read_pretrained
from caco_ext.utils.config_files import config_path
from tests.helpers.other_checkpoints import (BARE, FC, FILES, SMALL, behind,
                                             moco)


@pytest.fixture
def saved(tmp_path):
    """Writes one of the files."""

    def save(content):
        path = str(tmp_path / 'source.pth')
        torch.save(content, path)
        return path

    return save


def assert_same(weights, factor=1.):
    assert list(weights) == list(BARE)
    for name, value in weights.items():
        wanted = BARE[name] * (factor if 'conv' in name else 1.)
        assert torch.equal(value, wanted), name


@pytest.mark.parametrize('name', FILES)
def test_is_called_what_it_is_and_used(name, saved):
    content, called, key, labels = FILES[name]
    path = saved(content)
    assert called in survey(content, path).program.name
    backbone = read_backbone(path)
    assert_same(backbone.weights)
    assert ('supervised' in backbone.meta) == labels
    kind = next(line for line in inspect(path) if line.startswith('kind: '))
    assert called in kind and ('moco' not in name or 'CLSA' not in kind)
    if key:
        assert_same(read_backbone(path, 'backbone_k').weights, key)
    else:
        with pytest.raises(CheckpointError, match='no key encoder'):
            read_backbone(path, 'backbone_k')
    if name != 'probe':
        with pytest.raises(CheckpointError, match='no training goes on'):
            convert(path)


@pytest.mark.parametrize('name', [n for n, row in FILES.items() if row[3]])
def test_labels_are_not_forgotten(name, saved, tmp_path):
    """Through every converter, and one after the other."""
    content, called, _, _ = FILES[name]
    path = saved(content)
    steps = [str(tmp_path / f'{i}.pth') for i in range(3)]
    steps.append(str(tmp_path / '4.safetensors'))
    content, report = convert(path, 'backbone')
    assert any('trained with labels' in note for note in report.notes)
    write_checkpoint(content, steps[0])
    extract_backbone(path, steps[1])
    extract_backbone(steps[0], steps[2])
    backbone = read_backbone(steps[2])
    write_checkpoint(export(backbone, 'openmmlab', backbone.meta), steps[3])
    for step in (path, *steps):
        with pytest.raises(CheckpointError, match='trained with labels'):
            read_pretrained(step, own=SMALL.shapes())
        assert_same(
            read_pretrained(step, supervised=True, own=SMALL.shapes()).weights)
    assert called in read_checkpoint(steps[3])['meta']['origin']


def test_a_key_encoder_stays_one(saved, tmp_path):
    path = saved(FILES['moco_v2'][0])
    steps = [str(tmp_path / f'{i}.pth') for i in range(2)]
    write_checkpoint(convert(path, 'backbone_k')[0], steps[0])
    extract_backbone(steps[0], steps[1])
    for step in steps:
        with pytest.raises(CheckpointError, match='key encoder'):
            read_pretrained(step, own=SMALL.shapes())
        assert_same(
            read_pretrained(step, 'backbone_k', own=SMALL.shapes()).weights, 2)


def test_several_backbones_are_asked_about(saved, tmp_path):
    path = saved(
        dict(
            student=behind('module.backbone.', BARE),
            teacher=behind('backbone.', BARE, change=2.),
            epoch=1))
    for use in (lambda **kw: read_backbone(path, **kw).weights,
                lambda **kw: read_pretrained(path, own=BARE, **kw).weights):
        with pytest.raises(
                CheckpointError,
                match="of DINO, has 2 .*--src-prefix.*'student.backbone.', "
                "'teacher.backbone.'"):
            use()
        assert_same(use(prefix='student.module.backbone.'))
        assert_same(use(prefix='teacher'), 2)
    with pytest.raises(CheckpointError, match="no ResNet behind 'tea.'"):
        read_backbone(path, prefix='tea.')
    extract_backbone(path, str(tmp_path / 'b.pth'), 'teacher')
    assert read_backbone(str(
        tmp_path / 'b.pth')).meta['origin'] == ("checkpoint of DINO, "
                                                "'teacher.backbone.'")


def test_averaged_weights_can_be_told_from_the_others(saved):
    """By what the message says, even where the one begins as the other."""
    averaged = behind('', BARE, change=2.)
    for content, plain, other in (
        (dict(state_dict=BARE, ema=averaged), 'state_dict.', 'ema.'),
        (dict(model=BARE, model_ema=averaged), 'model.', 'model_ema.'),
        (dict(
            state_dict=behind('backbone.', BARE),
            ema_state_dict=behind('module.backbone.', averaged)), 'backbone.',
         'ema_state_dict.backbone.'),
    ):
        path = saved(content)
        with pytest.raises(CheckpointError, match=f"'{plain}', '{other}'$"):
            read_backbone(path)
        assert_same(read_backbone(path, prefix=plain).weights)
        assert_same(read_backbone(path, prefix=other).weights, 2)


def test_distilled_with_labels_is_no_dino(saved):
    path = saved({name: {**BARE, **FC} for name in ('student', 'teacher')})
    with pytest.raises(CheckpointError, match='fc.weight show .* labels'):
        read_pretrained(path, own=SMALL.shapes(), prefix='student')


@pytest.mark.parametrize('name', ['torchvision', 'swav'])
def test_no_other_program_is_published_as_ours(name, saved, tmp_path):
    config = config_path('caco/caco_resnet50_8xb128-sym-coslr-200e_in1k.py')
    content, called, _, _ = FILES[name]
    if name == 'swav':  # nothing but a state_dict is published
        content = dict(state_dict=content)
    with pytest.raises(CheckpointError, match=f'{called}.* trains caco'):
        publish(config, saved(content), str(tmp_path / 'zoo'), '20261122')
    assert not (tmp_path / 'zoo').exists()


def test_an_unknown_program_is_not_guessed(saved):
    path = saved(dict(network=behind('body.', BARE)))
    with pytest.raises(CheckpointError, match="one with .*'network.body.'"):
        read_backbone(path)
    assert_same(read_backbone(path, prefix='body').weights)
    other = dict(behind('body.', BARE), **{'classifier.weight': FC['fc.bias']})
    with pytest.raises(CheckpointError, match='is of no known method'):
        convert(saved(other))


def test_batches_need_not_be_counted():
    state = {n: v for n, v in BARE.items() if 'num_batches' not in n}
    weights = find_backbone(state, 'it').weights
    assert list(weights) == list(BARE)
    assert weights['bn1.num_batches_tracked'] == 0


def test_moco_is_clsa_only_where_the_user_says_so(saved):
    """CLSA's program notes its best accuracy, MoCo's does not."""
    content = moco('encoder_q', 'encoder_k')
    path = saved(content)
    with pytest.raises(CheckpointError, match='of MoCo v2.*--method clsa$'):
        convert(path)
    assert identify(content, path, 'clsa').method == 'clsa'
    assert identify(dict(content, best_acc=60.), path).method == 'clsa'


def test_a_probe_is_told_from_a_classifier(saved):
    path = saved(FILES['probe'][0])
    assert convert(path)[0]['meta']['kind'] == 'linear probe'
    with pytest.raises(CheckpointError, match='--method adco.caco.clsa'):
        convert(saved(FILES['undecided'][0]))
    result, _ = convert(path, method='adco')
    assert result['meta']['method'] == 'adco'
    with pytest.raises(CheckpointError, match='of timm'):
        convert(saved(FILES['timm_training'][0]), method='adco')


def test_detectron2_pickle(tmp_path):
    """Arrays are taken, whatever has another name is not."""
    path = tmp_path / 'R-18.pkl'
    model = {k: v.numpy() for k, v in to_detectron2(BARE).items()}
    for protocol in (2, 4):
        path.write_bytes(
            pickle.dumps(
                dict(model=model, __author__='x', best=np.float32(1)),
                protocol))
        found = read_checkpoint(str(path))['model']
        assert torch.equal(found['stem.conv1.weight'], BARE['conv1.weight'])
    path.write_bytes(
        pickle.dumps({
            f'backbone.bottom_up.{k}': v
            for k, v in model.items() if 'num_batches' not in k
        }))
    backbone = read_backbone(str(path))
    assert backbone.source == 'checkpoint of detectron2'
    assert backbone.weights.keys() == BARE.keys()
    assert torch.equal(backbone.weights['conv1.weight'], BARE['conv1.weight'])
    path.write_bytes(pickle.dumps(dict(model=Namespace(a=1))))
    with pytest.raises(CheckpointError, match='a pickle.*argparse.Namespace'):
        read_checkpoint(str(path))
